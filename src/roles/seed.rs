//! `seed`: collections with rules, people and records to begin with, or to look at.
//!
//! A template is a file of `assets/seed`. Its records have ids that follow from their places, so whoever seeds twice
//! gets nothing twice, and `--rows` grows a collection by records that are put together, the same every time.
use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use poem::http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::operator::{Operator, Reply, Request};
use super::{Context, say};
use crate::base::{Random, Timestamp};

const TEMPLATES: [(&str, &str); 4] = [
    ("dictionary", include_str!("../../assets/seed/dictionary.json")),
    ("snippets", include_str!("../../assets/seed/snippets.json")),
    ("stories", include_str!("../../assets/seed/stories.json")),
    ("demo", include_str!("../../assets/seed/demo.json")),
];
const COLLECTIONS: &str = "/api/v1/collections";
const USERS: &str = "/api/v1/admin/users";
/// Most records that a collection is grown to.
const ROWS_MAX: u64 = 1_000_000;
/// Records of one import, so that memory stays bounded.
const CHUNK: u64 = 10_000;
/// When the first record of a template was made, the same moment in every seed; each further one a minute later.
const MADE_FROM: Timestamp = Timestamp::from_millis(1_704_067_200_000);
const MADE_EVERY_MILLIS: u64 = 60_000;
/// The beginning of what a template tells of.
const EPOCH: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const DAY_MILLIS: u64 = 24 * 3_600 * 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which template; see `--list`.
    #[arg(required_unless_present = "list")]
    template: Option<String>,
    /// How many records the largest collection shall have; more than the template has are put together.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=ROWS_MAX))]
    rows: Option<u64>,
    /// Only say which templates there are.
    #[arg(long)]
    list: bool,
}

/// A file of `assets/seed`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    /// What it is for, in one line.
    about: String,
    #[serde(default)]
    people: Vec<Person>,
    /// As they are sent to be made.
    collections: Vec<Value>,
    /// In an order in which what is referred to comes first.
    records: Vec<Records>,
    grow: Growth,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    name: String,
    email: String,
    role: String,
}

/// The records of a collection, written by hand.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    collection: String,
    fields: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// How further records are put together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Growth {
    collection: String,
    fields: BTreeMap<String, Part>,
}

/// What the value of a field is made of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Part {
    /// One of these.
    OneOf(Vec<Value>),
    /// One of each list, one after the other.
    Text(Vec<Vec<String>>),
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A moment so many days after the beginning at most.
    Within(u64),
    /// A record of another collection that was written by hand, or one of `people`.
    Row(String),
    /// A list of some of these.
    Several(Vec<String>),
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    if args.list {
        for (name, _) in TEMPLATES {
            say(format!("{name:<12}{}", template(name)?.about))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let name = args.template.unwrap_or_default();
    let template = template(&name)?;
    let operator = Operator::find(context).await?;
    let missing = missing(&operator, &template).await?;
    let password = Random::system().token("seed");
    let people = make_people(&operator, &template, &password).await?;
    for collection in missing {
        operator.ask(Method::POST, COLLECTIONS, Some(collection)).await?.json()?;
        say(format!("made the collection {}", text(&collection["name"])))?;
    }
    let seed = Seed { name: &name, template: &template, people: &people };
    for records in &template.records {
        let is_grown = records.collection == template.grow.collection;
        let written = records.rows.len() as u64;
        let count = if is_grown { args.rows.unwrap_or(written) } else { written };
        let (mut made, mut there) = (0, 0);
        for from in (0..count).step_by(usize::try_from(CHUNK)?) {
            let rows = from..count.min(from + CHUNK);
            let lines: Vec<_> = rows.map(|row| seed.record(records, row).to_string()).collect();
            let part = import(&operator, &records.collection, lines.join("\n")).await?;
            made += part.0;
            there += part.1;
        }
        say(format!("{}: {made} records made, {there} there already", records.collection))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn template(name: &str) -> anyhow::Result<Template> {
    let names = TEMPLATES.map(|(name, _)| name).join(", ");
    let found = TEMPLATES.iter().find(|(it, _)| *it == name);
    let (_, json) = found.with_context(|| format!("there is no template `{name}`; there are {names}"))?;
    serde_json::from_str(json).with_context(|| format!("the template `{name}` is damaged"))
}

/// The collections that are not there yet. One that is there and has not the fields of the template is somebody's own,
/// and nothing is done then.
async fn missing<'a>(operator: &Operator, template: &'a Template) -> anyhow::Result<Vec<&'a Value>> {
    let mut missing = Vec::new();
    for collection in &template.collections {
        let name = text(&collection["name"]);
        let reply = operator.ask(Method::GET, &format!("{COLLECTIONS}/{name}"), None).await?;
        if reply.status == 404 {
            missing.push(collection);
            continue;
        }
        let there = reply.json()?;
        let form = |field: &Value| (text(&field["name"]).to_owned(), text(&field["type"]).to_owned());
        let has: Vec<_> = there["fields"].as_array().into_iter().flatten().map(form).collect();
        let is_same = collection["fields"].as_array().into_iter().flatten().all(|it| has.contains(&form(it)));
        anyhow::ensure!(is_same, "a collection `{name}` with other fields is there already; nothing was done");
    }
    Ok(missing)
}

/// Makes the people who are not there yet, and finds the ids of all.
async fn make_people(
    operator: &Operator,
    template: &Template,
    password: &str,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut ids = BTreeMap::new();
    for Person { name, email, role } in &template.people {
        let body = serde_json::json!({ "email": email, "name": name, "role": role, "password": password });
        let made = operator.ask(Method::POST, USERS, Some(&body)).await?;
        if made.status == 409 {
            ids.insert(name.clone(), find_person(operator, email).await?);
            continue;
        }
        ids.insert(name.clone(), text(&made.json()?["id"]).to_owned());
        say(format!("made {role} {email} with the password {password}"))?;
    }
    Ok(ids)
}

async fn find_person(operator: &Operator, email: &str) -> anyhow::Result<String> {
    let mut path = format!("{USERS}?limit=500");
    loop {
        let page = operator.ask(Method::GET, &path, None).await?.json()?;
        let mut users = page["data"].as_array().into_iter().flatten();
        if let Some(user) = users.find(|it| it["email"] == email) {
            return Ok(text(&user["id"]).to_owned());
        }
        let cursor = page["meta"]["nextCursor"].as_str().with_context(|| format!("{email} is not there"))?;
        path = format!("{USERS}?limit=500&cursor={cursor}");
    }
}

/// Imports lines, and tells how many are new and how many were there.
async fn import(operator: &Operator, collection: &str, lines: String) -> anyhow::Result<(u64, u64)> {
    let path = format!("{COLLECTIONS}/{collection}/records/import?format=ndjson");
    let request = Request::new(Method::POST, path, "application/x-ndjson", lines.into());
    let report = operator.exchange(request, Reply::read).await?.json()?;
    let is_there = |record: &&Value| {
        let faults = record["errors"].as_array();
        faults.is_some_and(|it| it.iter().all(|fault| fault["code"] == "not-unique"))
    };
    let errors = report["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(wrong) = errors.iter().find(|it| !is_there(it)) {
        anyhow::bail!("a record of `{collection}` does not fit: {}", wrong["errors"]);
    }
    anyhow::ensure!(report["stopped"].is_null(), "not all records of `{collection}` were taken: {}", report["stopped"]);
    Ok((report["imported"].as_u64().unwrap_or(0), report["refused"].as_u64().unwrap_or(0)))
}

/// A template on its way into a server.
struct Seed<'a> {
    name: &'a str,
    template: &'a Template,
    /// Ids by names.
    people: &'a BTreeMap<String, String>,
}

impl Seed<'_> {
    /// The record at some place of a collection: written by hand, or put together.
    fn record(&self, records: &Records, row: u64) -> Value {
        let mut record = Map::new();
        record.insert("id".to_owned(), self.id(&records.collection, row).into());
        record.insert("createdAt".to_owned(), moment_of(made_at(row)));
        let written = usize::try_from(row).ok().and_then(|row| records.rows.get(row));
        match written {
            Some(values) => {
                let values = records.fields.iter().zip(values);
                record.extend(values.map(|(name, value)| (name.clone(), self.resolved(value))));
            }
            None => {
                let fields = self.template.grow.fields.iter();
                record.extend(fields.map(|(name, part)| (name.clone(), self.put_together(part, name, row))));
            }
        }
        Value::Object(record)
    }

    /// The id that follows from a record's place, in the form of all others: a time, and what tells it apart.
    fn id(&self, collection: &str, row: u64) -> String {
        let digest = digest(&SHA256, format!("{} {collection} {row}", self.name).as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        bytes[..6].copy_from_slice(&made_at(row).to_be_bytes()[2..]);
        bytes[6] = bytes[6] & 0x0f | 0x70;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid::from_bytes(bytes).hyphenated().to_string()
    }

    /// A value with the id of what it refers to: `@projects/0`, or `@people/Mia`.
    fn resolved(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix('@').and_then(|it| it.split_once('/')) {
                Some(("people", name)) => self.people.get(name).map_or(Value::Null, |it| it.as_str().into()),
                Some((collection, row)) => row.parse().map_or(Value::Null, |it| self.id(collection, it).into()),
                None => value.clone(),
            },
            Value::Array(items) => items.iter().map(|it| self.resolved(it)).collect(),
            _ => value.clone(),
        }
    }

    fn put_together(&self, part: &Part, field: &str, row: u64) -> Value {
        let dice = |sides: usize, salt: u64| {
            let digest = digest(&SHA256, format!("{} {field} {row} {salt}", self.name).as_bytes());
            let number = digest.as_ref()[..8].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            usize::try_from(number % (sides.max(1) as u64)).unwrap_or(0)
        };
        let pick = |from: &[String], salt| from.get(dice(from.len(), salt)).cloned().unwrap_or_default();
        match part {
            Part::OneOf(values) => values.get(dice(values.len(), 0)).map_or(Value::Null, |it| self.resolved(it)),
            Part::Text(lists) => lists.iter().zip(0..).map(|(list, salt)| pick(list, salt)).collect::<String>().into(),
            Part::Number(least, most) => {
                let span = usize::try_from(most - least).unwrap_or(0) + 1;
                (least + dice(span, 0) as u64).into()
            }
            Part::Within(days) => {
                let after = dice(usize::try_from(days * DAY_MILLIS / 1_000).unwrap_or(1), 0) as i64 * 1_000;
                moment_of(EPOCH.millis() + after)
            }
            Part::Row(of) if of == "people" => {
                let ids: Vec<_> = self.people.values().cloned().collect();
                pick(&ids, 0).into()
            }
            Part::Row(collection) => {
                let records = self.template.records.iter().find(|it| it.collection == *collection);
                let count = records.map_or(1, |it| it.rows.len());
                self.id(collection, dice(count, 0) as u64).into()
            }
            Part::Several(items) => {
                let mut picked: Vec<String> = Vec::new();
                for salt in 0..=dice(3, 9) as u64 {
                    let item = pick(items, salt);
                    if !picked.contains(&item) {
                        picked.push(item);
                    }
                }
                picked.into()
            }
        }
    }
}

fn made_at(row: u64) -> i64 {
    MADE_FROM.millis().saturating_add_unsigned(row * MADE_EVERY_MILLIS)
}

fn moment_of(millis: i64) -> Value {
    let mut json = Vec::new();
    Timestamp::from_millis(millis).write_json(&mut json);
    serde_json::from_slice(&json).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_can_be_read_and_grows_alike_every_time() {
        for (name, _) in TEMPLATES {
            let template = template(name).expect("a template");
            let people = template.people.iter().map(|it| (it.name.clone(), it.email.clone())).collect();
            let seed = Seed { name, template: &template, people: &people };
            let grown = template.records.iter().find(|it| it.collection == template.grow.collection).expect("records");
            for records in &template.records {
                assert!(
                    records.rows.iter().all(|it| it.len() == records.fields.len()),
                    "{name} {}",
                    records.collection
                );
            }
            let beyond = grown.rows.len() as u64 + 7;
            assert_eq!(seed.record(grown, beyond), seed.record(grown, beyond), "{name}");
            assert_ne!(seed.record(grown, beyond)["id"], seed.record(grown, beyond + 1)["id"], "{name}");
        }
    }
}
