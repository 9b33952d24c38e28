//! Search: the records that have certain words, those first that have most of them.
//!
//! The words come from people, and become one expression of quoted words (`sought.rs`, `expression.rs`). The index
//! tells which rows match; rule, filter and conditions are part of the same statement, so what someone may not see is
//! neither counted nor ranked. Where few match, words that differ by a typing error are looked for too (`meant.rs`).
//!
//! Relevance is worked out from a record's own texts, for the first thousands of bytes of at most [`RANKED_MAX`] of
//! them (`relevance.rs`): first of those of which a weightiest field is just what was looked for, then of those where it
//! begins with it, then of those that have the words in such a field, and of each sort the newest. What else matches
//! follows, newest first.
mod document;
mod expression;
mod hits;
mod marks;
mod meant;
mod ranked;
mod relevance;
mod sought;

use std::borrow::Cow;

use self::expression::{Nearness, unwanted, wanted, without};
use self::hits::Meant;
use self::sought::Sought;
use super::access::Asker;
use super::query::Asked;
use super::statement::Statement;
use super::store::ALIAS;
use crate::base::text::write_json;
use crate::base::words::texts_of_json;
use crate::db::record_tables::quoted;
use crate::db::search_tables::Content;
use crate::db::{self, Row, Tx};
use crate::features::collections::Entry;
use crate::http::Fault;

pub(super) use document::{member, parameters};
pub(super) use hits::Hits;
pub(super) use ranked::run;

/// Records that are compared by relevance. Each costs a look at its texts, and nobody reads more of them.
const RANKED_MAX: usize = 200;
/// With fewer records than these, typing errors are forgiven.
const FEW: i64 = 10;

/// A search that is about to be run.
#[derive(Clone, Debug)]
pub(super) struct Search {
    sought: Sought,
    /// As SQL takes it.
    index: String,
    words: String,
    table: String,
    /// The table of which that is all or some.
    rows: String,
    /// Those that the caller may search.
    columns: Vec<Column>,
    restriction: Option<Statement>,
    pub shows_marks: bool,
}

#[derive(Clone, Debug)]
struct Column {
    /// Among the columns of the index.
    position: usize,
    /// In the table of the records.
    name: String,
    /// The name as JSON has it, with its colon.
    key: String,
    weight: f64,
    /// Whether no other field that the caller may search counts more.
    is_weightiest: bool,
    content: Content,
    /// The index of its whole texts.
    names: Option<String>,
}

/// What a search comes to in this state of the data.
#[derive(Debug)]
pub(super) struct Resolved {
    pub hits: Hits,
    /// Everything that matches.
    expression: String,
}

impl Search {
    /// The search that is asked for, if there is one.
    pub fn plan(entry: &Entry, asker: &Asker<'_>, asked: &Asked, faults: &mut Vec<Fault>) -> Option<Self> {
        let Some(text) = &asked.search else {
            if asked.highlight {
                faults.push(Fault::new("?highlight", "conflict", "is for `search`"));
            }
            return None;
        };
        let columns = searched(entry, asker);
        let Some(searched) = entry.searched.as_ref().filter(|_| !columns.is_empty()) else {
            let detail = format!("`{}` has no fields that are searched", entry.name());
            faults.push(Fault::new("?search", "not-searched", detail));
            return None;
        };
        match Sought::read(text) {
            Ok(sought) => Some(Self {
                sought,
                index: quoted(&searched.index),
                words: searched.words.clone(),
                table: asked.from(entry).into_owned(),
                rows: quoted(&entry.rows),
                columns,
                restriction: None,
                shows_marks: asked.highlight,
            }),
            Err(fault) => {
                faults.push(fault);
                None
            }
        }
    }

    /// The same among the records for which a condition is true.
    pub fn among(self, restriction: Option<Statement>) -> Self {
        Self { restriction, ..self }
    }

    /// The texts of a record, so that a page can show what was found.
    pub fn select_texts(&self, sql: &mut String) {
        for column in &self.columns {
            sql.push_str(&format!(", {ALIAS}.{}", column.name));
        }
    }

    /// Adds what was found to the record at the end of `out`; its texts begin at `from`.
    pub fn write_found(
        &self,
        hits: &Hits,
        score: Option<f64>,
        row: &Row<'_>,
        from: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), db::Error> {
        out.pop();
        if !out.ends_with(b"{") {
            out.push(b',');
        }
        out.extend_from_slice(b"\"_search\":{");
        if let Some(score) = score {
            out.extend_from_slice(format!("\"score\":{score:.4},").as_bytes());
        }
        out.extend_from_slice(b"\"highlights\":{");
        let mut is_first = true;
        for (index, column) in self.columns.iter().enumerate() {
            let Some(text) = text(row, from + index, column)? else { continue };
            if let Some(marked) = marks::marked(hits, &text) {
                if !is_first {
                    out.push(b',');
                }
                is_first = false;
                out.extend_from_slice(column.key.as_bytes());
                write_json(&marked, out);
            }
        }
        out.extend_from_slice(b"}}}");
        Ok(())
    }

    /// What a list that is sorted by something else has to fulfill.
    pub fn condition(&self, resolved: &Resolved) -> Statement {
        let mut condition =
            Statement::new(format!("{ALIAS}._row IN (SELECT rowid FROM {0} WHERE {0} MATCH ", self.index));
        condition.bind(resolved.expression.clone()).push(")");
        condition
    }

    /// Looks whether typing errors are to be forgiven, and which.
    pub fn resolve(&self, tx: &mut Tx<'_>) -> Result<Resolved, db::Error> {
        let begun = self.all(Nearness::Begun);
        let mut statement = self.matching("SELECT count(*) FROM (SELECT 1", &begun, None);
        statement.push(" LIMIT ").bind(FEW).push(")");
        let count = tx.find(&statement.sql, &statement.values, |row| row.integer(0))?.unwrap_or(0);
        let meant = if count < FEW { self.meant(tx)? } else { None };
        Ok(self.resolved(begun, meant.as_deref()))
    }

    fn resolved(&self, begun: String, meant: Option<&[Vec<Meant>]>) -> Resolved {
        let hits = Hits::new(&self.sought, meant.unwrap_or_default());
        Resolved { hits, expression: meant.map_or(begun, |meant| self.all(Nearness::Meant(meant))) }
    }

    /// What each part may have been meant to be, if there is any such word.
    fn meant(&self, tx: &mut Tx<'_>) -> Result<Option<Vec<Vec<Meant>>>, db::Error> {
        let meant = meant::meant(tx, &self.words, &self.sought.wanted)?;
        Ok(meant.iter().any(|it| !it.is_empty()).then_some(meant))
    }

    /// Everything wanted in any column that the caller may search, and nothing unwanted.
    fn all(&self, nearness: Nearness<'_>) -> String {
        let columns = self.positions(|_| true);
        self.without_unwanted(wanted(&self.sought, &columns, nearness))
    }

    /// The same in the weightiest columns. Nothing if that is all of them.
    fn weightiest(&self, nearness: Nearness<'_>) -> Option<String> {
        let columns = self.positions(|it| it.is_weightiest);
        let is_some = columns.len() < self.columns.len();
        is_some.then(|| self.without_unwanted(wanted(&self.sought, &columns, nearness)))
    }

    fn without_unwanted(&self, expression: String) -> String {
        match unwanted(&self.sought, &self.positions(|_| true)) {
            Some(unwanted) => without(&expression, &[&unwanted]),
            None => expression,
        }
    }

    fn positions(&self, is_meant: impl Fn(&Column) -> bool) -> Vec<usize> {
        self.columns.iter().filter(|it| is_meant(it)).map(|it| it.position).collect()
    }

    /// A statement about the records that match and that the caller may see, those before a row if one is given.
    fn matching(&self, select: &str, expression: &str, before: Option<i64>) -> Statement {
        let Self { index, table, .. } = self;
        let mut statement = Statement::new(format!(
            "{select} FROM {index} AS found CROSS JOIN {table} AS {ALIAS} ON {ALIAS}._row = found.rowid WHERE found.{index} MATCH "
        ));
        statement.bind(expression.to_owned());
        if let Some(before) = before {
            statement.push(" AND found.rowid < ").bind(before);
        }
        if let Some(restriction) = &self.restriction {
            statement.push(" AND (").append(restriction.clone()).push(")");
        }
        statement
    }
}

/// The fields that a caller may search: others might be told by what matches, and in which order.
fn searched(entry: &Entry, asker: &Asker<'_>) -> Vec<Column> {
    let columns = entry.searched.iter().flat_map(|it| it.columns.iter().enumerate());
    let seen = columns.filter_map(|(position, column)| {
        let judge = entry.judges.get(column.field)?;
        let name = judge.member.column.clone();
        let key = judge.member.key.clone();
        let is_seen = asker.sight.sees(judge);
        let (weight, content, names) = (column.weight, column.content, column.names.clone());
        is_seen.then_some(Column { position, name, key, weight, is_weightiest: false, content, names })
    });
    let mut seen: Vec<Column> = seen.collect();
    let most = seen.iter().map(|it| it.weight).fold(0.0, f64::max);
    seen.iter_mut().for_each(|it| it.is_weightiest = it.weight == most);
    seen
}

/// The words of a column; nothing if there are none.
fn text<'a>(row: &Row<'a>, column: usize, of: &Column) -> Result<Option<Cow<'a, str>>, db::Error> {
    if row.is_null(column)? {
        return Ok(None);
    }
    let text = row.text(column)?;
    Ok(Some(match of.content {
        Content::Text => text.into(),
        Content::Json => texts_of_json(text).into(),
    }))
}
