//! One page of a collection.
use std::io::Write as _;

use super::error::Error;
use super::lists::{Gap, Lists};
use super::planned::Planned;
use super::projection::Projection;
use super::query::Asked;
use super::search::{self, Hits, Search};
use super::sort::{Order, Position};
use super::statement::Statement;
use super::store::{self, ALIAS};
use super::{access, expand};
use crate::db::record_tables::quoted;
use crate::db::{self, Row, Tx, Value};
use crate::features::collections::{self, Catalogue, Entry, ViewIds, doubled_id, must_be_id};
use crate::http::paging::Page;
use crate::http::{Fault, Problem};

/// Largest page. One that would be larger ends early, and the next cursor goes on from there.
const PAGE_BYTES_MAX: usize = 2 << 20;

/// A page that is about to be read.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub page: Statement,
    /// Where the page begins.
    after: Option<Position>,
    total: Option<Statement>,
    pub projection: Projection,
    /// What stands in the gaps of the records.
    lists: Lists,
    order: Order,
    pub limit: usize,
    bytes_max: usize,
    /// What stands behind the conditions.
    tail: Statement,
    is_restricted: bool,
    /// The view that the records are of, whose ids may be wrong.
    view: Option<String>,
    value_bytes_max: Option<usize>,
    search: Option<Search>,
    /// Whether relevance is the order; then a page begins after this position, or that many further on.
    pub is_ranked: bool,
    pub after_text: Option<String>,
    pub skip: usize,
    pub with_total: bool,
    /// What an estimate will do for.
    planned: Option<Planned>,
}

/// A page as it was read.
#[derive(Debug)]
pub(super) struct Listed {
    /// The records in JSON, separated by commas.
    pub json: Vec<u8>,
    /// Where lists of other records belong.
    pub gaps: Vec<Gap>,
    /// Where each of them ends.
    pub ends: Vec<usize>,
    /// The position of the last one, if there are more.
    pub next: Option<String>,
    pub total: Option<i64>,
    /// Whether it was not counted.
    pub is_estimate: bool,
    ids: ViewIds,
    /// What is wrong with the ids of a view.
    wrong: Option<String>,
}

/// Puts the statements of a page together, or says everything that is wrong with what is asked.
pub(super) fn plan(
    catalogue: &Catalogue,
    entry: &Entry,
    caller: &access::Asker<'_>,
    asked: &Asked,
    page: &Page,
) -> Result<Plan, Problem> {
    let mut faults = Vec::new();
    let mut projection = Projection::whole(entry, &caller.sight);
    let mut joins = Statement::default();
    let lists = expand::apply(catalogue, entry, caller, asked, &mut projection, &mut joins, &mut faults);
    let search = Search::plan(entry, caller, asked, &mut faults);
    let is_ranked = search.is_some() && asked.sort.is_none();
    let order = match Order::read(asked.sort.as_deref(), catalogue, entry, caller) {
        Ok(order) if !is_ranked => order,
        Ok(_) => Order::none(),
        Err(wrong) => {
            faults.extend(wrong);
            Order::none()
        }
    };

    // The holes of a statement are numbered, so the parts come in the order in which they stand.
    let mut columns = String::new();
    projection.select(ALIAS, &mut columns);
    order.select(&mut columns);
    if let Some(search) = search.as_ref().filter(|it| it.shows_marks) {
        search.select_texts(&mut columns);
    }
    let from = format!(" FROM {} AS {ALIAS}", asked.from(entry));
    let mut statement = Statement::new(format!("SELECT {columns}{from}"));
    statement.append(order.joins()).append(joins);
    caller.must_be_let(entry, &entry.rules.list, "list")?;
    entry.must_be_readable()?;
    if asked.trashed.is_some() {
        caller.must_be_let(entry, &entry.rules.delete, "see deleted")?;
    }
    let matching = caller.restriction(catalogue, entry, asked, &mut faults);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let search = search.map(|it| it.among(matching.clone()));
    let is_restricted = matching.is_some() && !is_ranked;
    if let Some(matching) = matching.as_ref().filter(|_| is_restricted) {
        statement.push(" WHERE ").append(matching.clone());
    }
    let mut tail = Statement::default();
    order.order_by(&mut tail);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let one_more = i64::try_from(page.limit).unwrap_or(i64::MAX).saturating_add(1);
    tail.push(" LIMIT ").bind(one_more);
    if 0 < page.skip {
        tail.push(" OFFSET ").bind(i64::try_from(page.skip).unwrap_or(i64::MAX));
    }
    // What an estimate is made of are all rows: how many these are is for those alone whom no rule hides any.
    let sees_all = caller.rule(entry, &entry.rules.list, ALIAS).is_none() && !entry.collection.keeps_deleted();
    let can_be_planned = page.is_planned && search.is_none() && entry.view.is_none() && sees_all;
    let planned = matching.clone().filter(|_| can_be_planned);
    let planned = planned.map(|matching| Planned { from: asked.from(entry).into_owned(), matching });
    let total = page.with_total.then(|| {
        let mut total = Statement::default();
        if entry.view.is_some() {
            // What is counted twice is told, as it would be where it is shown.
            let all = "SELECT coalesce(sum(n), 0), min(CASE WHEN 1 < n THEN id END) FROM";
            total.push(&format!("{all} (SELECT {ALIAS}.id AS id, count(*) AS n{from}"));
            if let Some(matching) = matching {
                total.push(" WHERE ").append(matching);
            }
            total.push(&format!(" GROUP BY {ALIAS}.id) AS counted"));
            return total;
        }
        match matching {
            Some(matching) => total.push(&format!("SELECT count(*){from} WHERE ")).append(matching),
            None if search.is_some() => total.push(&format!("SELECT count(*){from}")),
            // Without a condition nothing has to be counted.
            None => total.push("SELECT count FROM record_counts WHERE collection_id = ").bind(entry.collection.id),
        };
        if !is_restricted && entry.collection.keeps_deleted() && asked.trashed.is_none() {
            let bin = format!("(SELECT count(*) FROM {} WHERE \"isDeleted\" = 1)", quoted(&entry.rows));
            total.sql = total.sql.replacen("SELECT count ", &format!("SELECT count - {bin} "), 1);
        }
        total
    });
    let bytes_max = PAGE_BYTES_MAX;
    let skip = usize::try_from(page.skip).unwrap_or(usize::MAX);
    let plan = Plan {
        page: statement,
        after: None,
        total,
        projection,
        lists,
        order,
        limit,
        bytes_max,
        tail,
        is_restricted,
        view: entry.view.as_ref().map(|_| entry.name().to_owned()),
        value_bytes_max: entry.view.as_ref().map(|it| it.value_bytes_max),
        search,
        is_ranked,
        after_text: page.after.clone(),
        skip,
        with_total: page.with_total,
        planned,
    };
    match &page.after {
        None => Ok(plan),
        Some(_) if is_ranked => Ok(plan),
        Some(after) => plan.from(after).ok_or_else(cursor_refused),
    }
}

fn cursor_refused() -> Problem {
    let fault = Fault::new("?cursor", "invalid", "is not a cursor of this list; begin again without it");
    Problem::invalid(vec![fault])
}

impl Plan {
    /// The page after a position. Nothing if it is no position of this order.
    pub fn from(self, after: &str) -> Option<Self> {
        Some(Self { after: Some(self.order.read_position(after)?), ..self })
    }

    /// The same with smaller pages.
    pub fn of_bytes(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// What comes after the position, in parts; nothing from the beginning of the list.
    fn after(&self, tx: &mut Tx<'_>) -> Result<Vec<Statement>, Error> {
        match &self.after {
            None => Ok(Vec::new()),
            Some(Position::Values(values)) => Ok(self.order.after(values)),
            Some(Position::Record(id)) => {
                let found = store::keys(tx, &self.order.where_it_stands(id), self.order.width())?;
                match (found.as_slice(), &self.view) {
                    ([_, _, ..], Some(view)) => Err(collections::Error::wrong_ids(view, doubled_id(id)).into()),
                    (found, _) => Ok(self.order.after(found.first().ok_or_else(cursor_refused)?)),
                }
            }
        }
    }

    /// The statements that read the page: the next one is run if the rows before it do not fill the page.
    fn statements(&self, after: &[Statement]) -> impl Iterator<Item = Statement> {
        let whole = after.is_empty().then(|| self.page.clone());
        let parts = after.iter().map(|part| {
            let mut statement = self.page.clone();
            statement.push(if self.is_restricted { " AND " } else { " WHERE " }).append(part.clone());
            statement
        });
        whole.into_iter().chain(parts).map(|mut statement| {
            statement.append(self.tail.clone());
            statement
        })
    }

    /// The same among the records for which a condition is true.
    pub fn narrowed(&self, condition: &Statement) -> Self {
        let mut narrowed = self.clone();
        for statement in [Some(&mut narrowed.page), narrowed.total.as_mut()].into_iter().flatten() {
            statement.push(if self.is_restricted { " AND " } else { " WHERE " }).append(condition.clone());
        }
        narrowed.is_restricted = true;
        narrowed
    }

    pub fn is_full(&self, listed: &Listed) -> bool {
        listed.ends.len() == self.limit || self.bytes_max <= listed.json.len()
    }

    /// Adds the record of a row to the page. One more than fits tells that there is a next page, which begins after
    /// the position of the last one that did.
    fn take(
        &self,
        row: &Row<'_>,
        listed: &mut Listed,
        position: &mut String,
        found: Option<(&Search, &Hits)>,
    ) -> Result<(), db::Error> {
        if listed.next.is_some() {
            return Ok(());
        }
        // Seen of the one that is not shown, too: the next page begins after the last one and all that are like it.
        if self.view.is_some() && listed.wrong.is_none() {
            let id = row.text(self.projection.width() + self.order.width() - 1)?;
            listed.wrong = listed.ids.take(id).err();
        }
        if self.is_full(listed) {
            listed.next = Some(std::mem::take(position));
            return Ok(());
        }
        if !listed.ends.is_empty() {
            listed.json.push(b',');
        }
        self.projection.write_with_gaps(row, 0, &mut listed.json, &mut listed.gaps)?;
        if let Some((search, hits)) = found.filter(|(it, _)| it.shows_marks) {
            search.write_found(hits, None, row, self.projection.width() + self.order.width(), &mut listed.json)?;
        }
        listed.ends.push(listed.json.len());
        if self.is_full(listed) {
            *position = self.order.position(row, self.projection.width())?;
        }
        Ok(())
    }
}

/// Reads a page, its rows straight into one buffer.
pub(super) fn run(tx: &mut Tx<'_>, plan: &Plan) -> Result<Listed, Error> {
    let mut listed = match &plan.search {
        Some(search) => search::run(tx, plan, search)?,
        None => plan.run(tx, None)?,
    };
    plan.lists.fill(tx, &mut listed.json, &listed.gaps, &mut listed.ends)?;
    Ok(listed)
}

impl Listed {
    pub fn new() -> Self {
        let json = Vec::with_capacity(16 << 10);
        let ids = ViewIds::default();
        let (gaps, ends) = (Vec::new(), Vec::new());
        Self { json, gaps, ends, next: None, total: None, is_estimate: false, ids, wrong: None }
    }
}

impl Plan {
    /// Reads the page; with what a search found, if there is one.
    pub fn run(&self, tx: &mut Tx<'_>, found: Option<(&Search, &Hits)>) -> Result<Listed, Error> {
        let mut listed = Listed::new();
        let mut position = String::new();
        if self.value_bytes_max.is_some() {
            tx.bound_values(self.value_bytes_max)?;
        }
        let after = self.after(tx)?;
        for statement in self.statements(&after) {
            tx.each(&statement.sql, &statement.values, &mut |row| self.take(row, &mut listed, &mut position, found))?;
            if listed.next.is_some() {
                break;
            }
        }
        let estimate = self.planned.as_ref().map(|it| it.total(tx)).transpose()?.flatten();
        if let Some(estimate) = estimate {
            // What is seen is there.
            let seen = self.skip + listed.ends.len() + usize::from(listed.next.is_some());
            listed.total = Some(estimate.max(i64::try_from(seen).unwrap_or(i64::MAX)));
            listed.is_estimate = true;
        } else if let Some(statement) = &self.total {
            let total = if self.view.is_some() {
                let (total, doubled) = tx.find(&statement.sql, &statement.values, counted)?.unwrap_or_default();
                listed.wrong = listed.wrong.or_else(|| doubled.map(|it| doubled_id(&it)));
                total
            } else {
                tx.find(&statement.sql, &statement.values, |row| row.integer(0))?.unwrap_or(0)
            };
            listed.total = Some(total);
        }
        if let (Some(view), Some(what)) = (&self.view, listed.wrong.take()) {
            return Err(collections::Error::wrong_ids(view, what).into());
        }
        Ok(listed)
    }
}

/// How many records of a view there are, and the id that several have.
fn counted(row: &Row<'_>) -> Result<(i64, Option<String>), db::Error> {
    Ok((row.integer(0)?, row.optional(1, |row, column| row.text(column).map(ToOwned::to_owned))?))
}

/// Refuses a page by number that ended early: the page of the next number would begin behind what is missing.
pub(super) fn must_be_whole(listed: &Listed, page: &Page) -> Result<(), Problem> {
    let count = listed.ends.len();
    if page.number.is_none() || listed.next.is_none() || page.limit <= count as u64 {
        return Ok(());
    }
    let detail = format!(
        "{count} records of this page have {} MiB, which is as long as a page may be; ask for fewer, for some members \
         alone with `fields`, or go on with `cursor` instead of `page`",
        PAGE_BYTES_MAX >> 20
    );
    Err(Problem::invalid(vec![Fault::new("?limit", "too-large", detail)]))
}

/// The whole answer: the records, and what is true of the list.
pub(super) fn answer(listed: &Listed, page: &Page, next_cursor: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(listed.json.len() + 200);
    out.extend_from_slice(b"{\"data\":[");
    out.extend_from_slice(&listed.json);
    // Writing to a vector cannot fail. A cursor is base64, so it stands in JSON as it is.
    let _ = write!(out, "],\"meta\":{{\"limit\":{}", page.limit);
    if let Some(cursor) = next_cursor {
        let _ = write!(out, ",\"nextCursor\":\"{cursor}\"");
    }
    if let Some(number) = page.number {
        let _ = write!(out, ",\"page\":{number}");
    }
    if let Some(total) = listed.total {
        let _ = write!(out, ",\"total\":{total}");
    }
    if listed.is_estimate {
        out.extend_from_slice(b",\"isEstimate\":true");
    }
    out.extend_from_slice(b"}}");
    out
}

/// The statement that reads one record, with its version first. `from` stands after FROM.
pub(super) fn one(projection: &Projection, from: &str, joins: Statement, with_generation: bool) -> Statement {
    let mut columns = format!("SELECT {ALIAS}._version");
    if with_generation {
        columns = format!("SELECT (SELECT generation FROM catalogue WHERE id = 1), {ALIAS}._version");
    }
    projection.select(ALIAS, &mut columns);
    let mut statement = Statement::new(format!("{columns} FROM {from} AS {ALIAS}"));
    statement.append(joins);
    statement
}

/// The statement that reads one record, if the rule lets the caller reach it.
pub(super) fn sought(projection: &Projection, entry: &Entry, id: &str, rule: Option<Statement>) -> Statement {
    sought_among(&entry.from, projection, id, rule)
}

/// The same of another table than that of the records that are there.
pub(super) fn sought_among(from: &str, projection: &Projection, id: &str, rule: Option<Statement>) -> Statement {
    let mut statement = one(projection, from, Statement::default(), false);
    seek(&mut statement, id, rule);
    statement
}

/// Narrows a statement to one record, if the rule lets the caller reach it.
pub(super) fn seek(statement: &mut Statement, id: &str, rule: Option<Statement>) {
    statement.push(&format!(" WHERE {ALIAS}.id = ")).bind(id.to_owned());
    if let Some(rule) = rule {
        statement.push(" AND (").append(rule).push(")");
    }
}

/// Has a statement that seeks one record of a view find a second one, if there is one.
pub(super) fn of_view(statement: &mut Statement, entry: &Entry) {
    if entry.view.is_some() {
        statement.push(" LIMIT 2");
    }
}

/// Refuses a record of a view that shares its id, or whose id is none.
pub(super) fn must_be_alone(view: &str, id: &str, count: usize) -> Result<(), collections::Error> {
    let what = if 1 < count { Err(doubled_id(id)) } else { must_be_id(id) };
    what.map_err(|it| collections::Error::wrong_ids(view, it))
}

impl Statement {
    /// Appends another one, whose holes are numbered on.
    pub fn append(&mut self, other: Self) -> &mut Self {
        let before = self.values.len();
        let mut rest = other.sql.as_str();
        while let Some((text, tail)) = rest.split_once('$') {
            let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
            self.push(text).push("$");
            // A path within JSON begins with this sign too.
            if let Ok(number) = tail[..digits].parse::<usize>() {
                self.push(&(before + number).to_string());
            }
            rest = &tail[digits..];
        }
        self.push(rest);
        self.values.extend::<Vec<Value<'static>>>(other.values);
        self
    }
}
