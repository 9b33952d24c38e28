//! Which members are shown, and which relations are followed: `fields` and `expand`.
use std::collections::BTreeMap;
use std::sync::Arc;

use super::access::Asker;
use super::lists::{BACKWARDS_MAX, List, Lists};
use super::projection::{Expanded, Projection};
use super::query::Asked;
use super::statement::Statement;
use super::store::ALIAS;
use crate::db::dialect;
use crate::db::record_tables::quoted;
use crate::features::collections::{Catalogue, Entry, LIVE_USERS, Member, USERS};
use crate::http::Fault;

/// Relations that one request follows in all: each is another look-up for every record.
const RELATIONS_MAX: usize = 16;
/// Names that are no fields of which one is told; for each a near miss is looked for.
const FAULTS_TOLD_MAX: usize = 10;
/// Relations in a row.
const DEPTH_MAX: usize = 4;

/// What is asked for of one record and of those behind its relations.
#[derive(Debug, Default)]
struct Wanted<'a> {
    /// Nothing here means everything, unless `fields` leads on from here.
    members: Vec<&'a str>,
    /// Whether `fields` leads here, and not `expand` alone.
    is_of_fields: bool,
    /// Whether `expand` ends here, which shows the whole record.
    is_whole: bool,
    relations: BTreeMap<&'a str, Wanted<'a>>,
}

/// Narrows a projection to the members that are asked for, joins what is to be expanded, and says how the lists
/// behind it are read.
pub(super) fn apply(
    catalogue: &Catalogue,
    entry: &Entry,
    asker: &Asker<'_>,
    asked: &Asked,
    projection: &mut Projection,
    joins: &mut Statement,
    faults: &mut Vec<Fault>,
) -> Lists {
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
        path.split('.').fold(&mut wanted, |at, it| at.relations.entry(it).or_default()).is_whole = true;
    }
    let mut walk = Walk { catalogue, asker, followed: 0, lists: Lists::default(), faults };
    walk.narrow(Some(entry), &wanted, projection, &Place { alias: ALIAS.to_owned(), depth: 0 }, joins);
    walk.lists
}

fn parts(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(|it| it.split(',')).map(str::trim)
}

struct Walk<'a> {
    catalogue: &'a Catalogue,
    asker: &'a Asker<'a>,
    /// Relations so far.
    followed: usize,
    lists: Lists,
    faults: &'a mut Vec<Fault>,
}

/// Where a walk stands.
struct Place {
    alias: String,
    depth: usize,
}

/// A relation that leads on.
enum Way<'a> {
    /// To one record, of a collection or of accounts.
    One(&'a str),
    /// To several, by a table of entries.
    Several { target: &'a str, join: String },
    /// To those that refer here by one of their fields.
    Back { from: &'a Arc<Entry>, member: &'a Member },
}

impl<'a> Walk<'a> {
    /// What a name leads to from the records of a collection, or from accounts.
    fn way(&self, entry: Option<&'a Entry>, name: &str) -> Option<Way<'a>> {
        if let Some((collection, field)) = name.split_once("_via_") {
            let from = self.catalogue.find(collection).filter(|it| it.view.is_none())?;
            let (_, judge) = from.field(field).filter(|(_, it)| self.asker.sight.sees(it))?;
            let leads_here = judge.field.collection.as_deref() == Some(entry.map_or(USERS, Entry::name));
            return leads_here.then_some(Way::Back { from, member: &judge.member });
        }
        let (_, judge) = entry?.field(name).filter(|(_, it)| self.asker.sight.sees(it))?;
        let target = judge.field.collection.as_deref()?;
        Some(match &judge.member.join {
            Some(join) => Way::Several { target, join: join.clone() },
            None => Way::One(target),
        })
    }

    fn narrow(
        &mut self,
        entry: Option<&'a Entry>,
        wanted: &Wanted<'_>,
        projection: &mut Projection,
        place: &Place,
        joins: &mut Statement,
    ) {
        let parameter = if wanted.is_of_fields { "?fields" } else { "?expand" };
        if wanted.is_of_fields && wanted.members.is_empty() && !wanted.is_whole {
            // Nothing but what is behind relations was named.
            projection.keep(&[]);
        }
        self.keep(&wanted.members, projection);
        let mut lists = Vec::new();
        for (name, wanted) in &wanted.relations {
            let Some(way) = self.way(entry, name) else {
                let name: String = name.chars().take(100).collect();
                self.faults.push(Fault::new(parameter, "unknown", format!("`{name}` is no relation")));
                if FAULTS_TOLD_MAX < self.faults.len() {
                    return;
                }
                continue;
            };
            self.followed += 1;
            if RELATIONS_MAX < self.followed || DEPTH_MAX <= place.depth {
                let detail = format!("at most {RELATIONS_MAX} relations, and {DEPTH_MAX} in a row");
                self.faults.push(Fault::new(parameter, "too-many", detail));
                return;
            }
            let there = Place { alias: format!("e{}", self.followed), depth: place.depth + 1 };
            match way {
                Way::One(target) => {
                    let (table, column) = (quoted(seen_table(self.catalogue, target)), quoted(name));
                    let Place { alias, .. } = &there;
                    joins.push(&format!(" LEFT JOIN {table} AS {alias} ON {alias}.id = {}.{column}", place.alias));
                    let target = self.catalogue.find(target).map(|it| &**it);
                    if let Some(rule) = self.viewed(target, alias) {
                        joins.push(" AND (").append(rule).push(")");
                    }
                    let mut inner = self.whole(target);
                    self.narrow(target, wanted, &mut inner, &there, joins);
                    let expanded = Expanded { name: (*name).to_owned(), alias: there.alias, projection: inner };
                    projection.expanded.push(expanded);
                }
                Way::Several { target, join } => lists.push(self.forwards(name, wanted, target, &join, &there)),
                Way::Back { from, member } => lists.push(self.backwards(name, wanted, from, member, &there)),
            }
        }
        if !lists.is_empty() {
            projection.lists = Some(self.lists.0.len());
            self.lists.0.push(lists);
        }
    }

    /// The condition that lets the caller see a record that a relation leads to.
    fn viewed(&self, target: Option<&Entry>, alias: &str) -> Option<Statement> {
        target.and_then(|it| self.asker.rule(it, &it.rules.view, alias))
    }

    fn whole(&self, target: Option<&Entry>) -> Projection {
        target.map_or_else(Projection::of_users, |it| Projection::whole(it, &self.asker.sight))
    }

    /// What a list shows: the columns, and the joins of what is expanded in it.
    fn listed(
        &mut self,
        target: Option<&'a Entry>,
        wanted: &Wanted<'_>,
        there: &Place,
    ) -> (Projection, String, Statement) {
        let (mut projection, mut joins) = (self.whole(target), Statement::default());
        self.narrow(target, wanted, &mut projection, there, &mut joins);
        let mut columns = String::new();
        projection.select(&there.alias, &mut columns);
        (projection, columns, joins)
    }

    /// The list of those that the entries of a relation name, in their order.
    fn forwards(&mut self, name: &str, wanted: &Wanted<'_>, target: &'a str, join: &str, there: &Place) -> List {
        let entry = self.catalogue.find(target).map(|it| &**it);
        let (projection, columns, joins) = self.listed(entry, wanted, there);
        let (table, join, alias) = (quoted(seen_table(self.catalogue, target)), quoted(join), &there.alias);
        let mut statement = Statement::new(format!(
            "SELECT l.owner{}{columns} FROM {join} AS l JOIN {table} AS {alias} ON {alias}.id = l.target",
            if columns.is_empty() { "" } else { ", " }
        ));
        if let Some(rule) = self.viewed(entry, alias) {
            statement.push(" AND (").append(rule).push(")");
        }
        statement.append(joins).push(" WHERE l.owner IN (SELECT ids.value FROM ");
        let ids_at = hole(&mut statement);
        statement.push(") ORDER BY l.owner, l.position");
        List { name: name.to_owned(), statement, ids_at, projection, most: None }
    }

    /// The list of those that refer to a record, the first of them.
    fn backwards(
        &mut self,
        name: &str,
        wanted: &Wanted<'_>,
        from: &'a Arc<Entry>,
        member: &Member,
        there: &Place,
    ) -> List {
        let (projection, columns, joins) = self.listed(Some(from), wanted, there);
        let (table, alias) = (quoted(&from.table), &there.alias);
        let mut statement =
            Statement::new(format!("SELECT ids.value{}{columns} FROM ", if columns.is_empty() { "" } else { ", " }));
        let ids_at = hole(&mut statement);
        // Each id is asked for its first records by an index, whatever else there is.
        statement.push(&format!(" CROSS JOIN {table} AS {alias}")).append(joins);
        statement.push(&format!(" WHERE {alias}._row IN (SELECT o._row FROM "));
        let by = match &member.join {
            Some(join) => {
                let join = quoted(join);
                statement.push(&format!("{join} AS l JOIN {table} AS o ON o.id = l.owner WHERE l.target = ids.value"));
                "l.owner"
            }
            None => {
                statement.push(&format!("{table} AS o WHERE o.{} = ids.value", member.column));
                "o.id"
            }
        };
        if let Some(rule) = self.viewed(Some(from), "o") {
            statement.push(" AND (").append(rule).push(")");
        }
        statement.push(&format!(" ORDER BY {by} LIMIT {}) ORDER BY ids.key, {alias}.id", BACKWARDS_MAX + 1));
        List { name: name.to_owned(), statement, ids_at, projection, most: Some(BACKWARDS_MAX) }
    }

    fn keep(&mut self, members: &[&str], projection: &mut Projection) {
        if members.is_empty() || members.contains(&"*") {
            return;
        }
        for name in members.iter().filter(|it| !projection.has(it)).take(FAULTS_TOLD_MAX) {
            let name: String = name.chars().take(100).collect();
            let detail = match crate::base::text::nearest(&name, projection.names()) {
                Some(meant) => format!("`{name}` is no field; did you mean `{meant}`?"),
                None => format!("`{name}` is no field"),
            };
            self.faults.push(Fault::new("?fields", "unknown", detail));
        }
        projection.keep(members);
    }
}

/// The table of what relations lead to: of records and accounts, those that are not in the bin.
pub(super) fn seen_table<'a>(catalogue: &'a Catalogue, target: &str) -> &'a str {
    catalogue.find(target).map_or(LIVE_USERS, |it| it.table.as_str())
}

/// A hole for a JSON array of ids, as a table called `ids`.
fn hole(statement: &mut Statement) -> usize {
    let number = statement.values.len();
    let mut ids = Statement::default();
    ids.bind(String::new());
    ids.sql = dialect::items(&ids.sql, "ids");
    statement.append(ids);
    number
}
