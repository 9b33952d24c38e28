//! Which members are shown, and which relations are followed: `fields` and `expand`.
use std::collections::BTreeMap;

use super::access::Asker;
use super::projection::{Expanded, Projection};
use super::query::Asked;
use super::statement::Statement;
use super::store::ALIAS;
use crate::db::record_tables::quoted;
use crate::features::collections::{Catalogue, Entry, FieldType, USERS};
use crate::http::{Fault, Problem};

/// Relations that one request follows in all: each is another look-up for every record.
const RELATIONS_MAX: usize = 16;
/// Names that are no fields of which one is told; for each a near miss is looked for.
const FAULTS_TOLD_MAX: usize = 10;
/// Relations in a row.
const DEPTH_MAX: usize = 4;

/// What is asked for of one record and of those behind its relations.
#[derive(Debug, Default)]
struct Wanted<'a> {
    /// Nothing here means everything.
    members: Vec<&'a str>,
    /// Whether `fields` leads here, and not `expand` alone.
    is_of_fields: bool,
    relations: BTreeMap<&'a str, Wanted<'a>>,
}

/// Narrows a projection to the members that are asked for, and joins what is to be expanded.
pub(super) fn apply(
    catalogue: &Catalogue,
    entry: &Entry,
    asker: &Asker<'_>,
    asked: &Asked,
    projection: &mut Projection,
    joins: &mut Statement,
    faults: &mut Vec<Fault>,
) -> Result<(), Problem> {
    let mut wanted = Wanted::default();
    for path in parts(asked.fields.as_deref()) {
        let (relations, member) = path.rsplit_once('.').map_or((None, path), |(before, last)| (Some(before), last));
        let at = relations.into_iter().flat_map(|it| it.split('.')).fold(&mut wanted, |at, it| {
            at.is_of_fields = true;
            at.relations.entry(it).or_default()
        });
        at.is_of_fields = true;
        at.members.push(member);
    }
    for path in parts(asked.expand.as_deref()) {
        path.split('.').fold(&mut wanted, |at, it| at.relations.entry(it).or_default());
    }
    let mut joined = 0;
    let walk = Walk { catalogue, asker };
    walk.narrow(entry, &wanted, projection, ALIAS, 0, &mut joined, joins, faults);
    Ok(())
}

fn parts(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(|it| it.split(',')).map(str::trim)
}

struct Walk<'a> {
    catalogue: &'a Catalogue,
    asker: &'a Asker<'a>,
}

impl Walk<'_> {
    #[expect(clippy::too_many_arguments, reason = "each step of the walk changes all of them")]
    fn narrow(
        &self,
        entry: &Entry,
        wanted: &Wanted<'_>,
        projection: &mut Projection,
        alias: &str,
        depth: usize,
        joined: &mut usize,
        joins: &mut Statement,
        faults: &mut Vec<Fault>,
    ) {
        let parameter = if wanted.is_of_fields { "?fields" } else { "?expand" };
        self.keep(&wanted.members, projection, faults);
        for (name, wanted) in &wanted.relations {
            let relation = entry.field(name).filter(|(_, it)| {
                it.field.field_type == FieldType::Relation && (self.asker.sees_hidden || !it.field.hidden)
            });
            let Some(target) = relation.and_then(|(_, it)| it.field.collection.as_deref()) else {
                let name: String = name.chars().take(100).collect();
                faults.push(Fault::new(parameter, "unknown", format!("`{name}` is no relation")));
                continue;
            };
            *joined += 1;
            if RELATIONS_MAX < *joined || DEPTH_MAX <= depth {
                let detail = format!("at most {RELATIONS_MAX} relations, and {DEPTH_MAX} in a row");
                faults.push(Fault::new(parameter, "too-many", detail));
                return;
            }
            let inner_alias = format!("e{joined}");
            let on = |joins: &mut Statement, table: &str| {
                let column = quoted(name);
                joins.push(&format!(
                    " LEFT JOIN {} AS {inner_alias} ON {inner_alias}.id = {alias}.{column}",
                    quoted(table)
                ));
            };
            let mut inner;
            match self.catalogue.find(target) {
                Some(target) => {
                    inner = Projection::whole(target, self.asker.sees_hidden);
                    on(joins, &target.table);
                    if let Some(rule) = self.asker.rule(&target.rules.view, &inner_alias) {
                        joins.push(" AND (").append(rule).push(")");
                    }
                    self.narrow(target, wanted, &mut inner, &inner_alias, depth + 1, joined, joins, faults);
                }
                None => {
                    inner = Projection::of_users();
                    on(joins, USERS);
                    self.keep(&wanted.members, &mut inner, faults);
                    if let Some(name) = wanted.relations.keys().next() {
                        let name: String = name.chars().take(100).collect();
                        faults.push(Fault::new(parameter, "unknown", format!("`{name}` is no relation")));
                    }
                }
            }
            let expanded = Expanded { name: (*name).to_owned(), alias: inner_alias, projection: inner };
            projection.expanded.push(expanded);
        }
    }

    fn keep(&self, members: &[&str], projection: &mut Projection, faults: &mut Vec<Fault>) {
        if members.is_empty() || members.contains(&"*") {
            return;
        }
        for name in members.iter().filter(|it| !projection.has(it)).take(FAULTS_TOLD_MAX) {
            let name: String = name.chars().take(100).collect();
            let detail = match crate::base::text::nearest(&name, projection.names()) {
                Some(meant) => format!("`{name}` is no field; did you mean `{meant}`?"),
                None => format!("`{name}` is no field"),
            };
            faults.push(Fault::new("?fields", "unknown", detail));
        }
        projection.keep(members);
    }
}
