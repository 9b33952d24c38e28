//! A page in the order of relevance.
use serde_json::{Value as Json, json};

use super::super::error::Error;
use super::super::list::{Listed, Plan};
use super::super::statement::Statement;
use super::super::store::ALIAS;
use super::hits::Hits;
use super::relevance::{Weighed, relevance};
use super::{FEW, Nearness, RANKED_MAX, Search, text, unwanted, without};
use crate::db::record_tables::quoted;
use crate::db::search_tables;
use crate::db::{self, Row, Tx};
use crate::http::{Fault, Problem};

/// Longest text of a record, in bytes, that relevance looks at.
const TEXT_BYTES_MAX: i64 = 64 << 10;

/// Where a page of a ranked list begins.
#[derive(Clone, Debug, PartialEq)]
enum Position {
    /// After the ranked record of this relevance, in bits, and id.
    Ranked(u64, String),
    /// After this record of a stream, where they are not ranked any more.
    Unranked(usize, String),
}

/// A record that matches.
#[derive(Clone, Debug)]
struct Match {
    row: i64,
    id: String,
    score: Option<f64>,
    /// In which of the streams it came.
    stream: usize,
}

/// Everything that matches, in streams one after the other, of which the first records are ranked.
struct Matches {
    /// Expressions that have no record in common.
    streams: Vec<String>,
    ranked: Vec<Match>,
    /// Rows that are ranked whether it is their turn or not.
    early: Vec<i64>,
    /// Where ranking ended: the stream, and the last row of it.
    cut: Option<(usize, i64)>,
    hits: Hits,
    /// All streams together.
    all: String,
}

/// Reads a page of what a search finds.
pub(in super::super) fn run(tx: &mut Tx<'_>, plan: &Plan, search: &Search) -> Result<Listed, Error> {
    if !plan.is_ranked {
        let resolved = search.resolve(tx)?;
        return plan.narrowed(&search.condition(&resolved)).run(tx, Some((search, &resolved.hits)));
    }
    let mut listed = Listed::new();
    let matches = search.matches(tx)?;
    let mut page = Page { plan, search, hits: &matches.hits, listed: &mut listed, position: String::new() };
    let after = plan.after_text.as_deref().map(|it| read_position(it).ok_or_else(cursor_refused)).transpose()?;
    let mut skip = plan.skip;
    let begin = match &after {
        None => 0,
        Some(Position::Ranked(bits, id)) => {
            let score = f64::from_bits(*bits);
            matches.ranked.partition_point(|it| !follows(it, score, id))
        }
        Some(Position::Unranked(..)) => matches.ranked.len(),
    };
    for it in &matches.ranked[begin..] {
        if 0 < skip {
            skip -= 1;
        } else if !page.add(tx, it)? {
            break;
        }
    }
    let mut from = matches.cut;
    if let Some(Position::Unranked(stream, id)) = after {
        from = Some((stream, search.row_of(tx, &id)?.ok_or_else(cursor_refused)?));
    }
    while let Some((stream, row)) = from.filter(|_| page.listed.next.is_none()) {
        let Some(expression) = matches.streams.get(stream) else { break };
        let room = plan.limit + 1 - page.listed.ends.len();
        let rest = Rest { expression, stream, before: Some(row), early: &matches.early };
        let found = search.unranked(tx, &rest, skip, room)?;
        let is_over = found.is_empty() || found.len() < room;
        if is_over && 0 < skip {
            let passed = search.count(tx, search.rest("SELECT 1", &rest), skip)?;
            skip -= passed.min(skip);
        } else {
            skip = 0;
        }
        for it in &found {
            if !page.add(tx, it)? {
                break;
            }
        }
        from = if is_over { Some((stream + 1, i64::MAX)) } else { found.last().map(|it| (stream, it.row)) };
    }
    if plan.with_total {
        listed.total = Some(match matches.cut {
            None => i64::try_from(matches.ranked.len()).unwrap_or(i64::MAX),
            Some(_) => {
                let all = search.matching("SELECT 1", &matches.all, None);
                i64::try_from(search.count(tx, all, usize::MAX)?).unwrap_or(i64::MAX)
            }
        });
    }
    Ok(listed)
}

/// What of a stream was not shown yet.
struct Rest<'a> {
    expression: &'a str,
    stream: usize,
    /// The last row that was.
    before: Option<i64>,
    early: &'a [i64],
}

impl<'a> Rest<'a> {
    fn whole(expression: &'a str, stream: usize, early: &'a [i64]) -> Self {
        Self { expression, stream, before: None, early }
    }
}

/// A page that fills.
struct Page<'a> {
    plan: &'a Plan,
    search: &'a Search,
    hits: &'a Hits,
    listed: &'a mut Listed,
    /// Of the last record that fit.
    position: String,
}

impl Page<'_> {
    /// Adds a record; false if there is no room for more.
    fn add(&mut self, tx: &mut Tx<'_>, it: &Match) -> Result<bool, Error> {
        let listed = &mut *self.listed;
        if self.plan.is_full(listed) {
            listed.next = Some(std::mem::take(&mut self.position));
            return Ok(false);
        }
        let mut statement = self.plan.page.clone();
        statement.push(&format!(" WHERE {ALIAS}._row = ")).bind(it.row);
        if !listed.ends.is_empty() {
            listed.json.push(b',');
        }
        tx.each(&statement.sql, &statement.values, &mut |row| {
            self.plan.projection.write_with_gaps(row, 0, &mut listed.json, &mut listed.gaps)?;
            if self.search.shows_marks {
                let from = self.plan.projection.width();
                self.search.write_found(self.hits, it.score, row, from, &mut listed.json)?;
            }
            Ok(())
        })?;
        listed.ends.push(listed.json.len());
        self.position = match it.score {
            Some(score) => json!(["ranked", score.to_bits(), it.id]),
            None => json!(["unranked", it.stream, it.id]),
        }
        .to_string();
        Ok(true)
    }
}

impl Search {
    /// Finds what matches, as far as it is ranked.
    fn matches(&self, tx: &mut Tx<'_>) -> Result<Matches, db::Error> {
        let (same, begun) = (self.all(Nearness::Same), self.all(Nearness::Begun));
        let mut hits = Hits::new(&self.sought, &[]);
        let mut streams = self.streams(&same, &begun);
        let early = self.called_so(tx, &hits)?;
        let rows: Vec<i64> = early.iter().map(|it| it.row).collect();
        let room = RANKED_MAX + 1 - early.len();
        let mut first = self.ranked(tx, &Rest::whole(&streams[0], 0, &rows), room, &hits, false)?;
        if first.len() < room && 1 < streams.len() {
            let all = self.ranked(tx, &Rest::whole(&begun, 0, &rows), room, &hits, false)?;
            if room <= all.len() {
                for (index, expression) in streams.iter().enumerate().skip(1) {
                    let room = room - first.len();
                    if 0 < room {
                        let rest = Rest::whole(expression, index, &rows);
                        first.extend(self.ranked(tx, &rest, room, &hits, false)?);
                    }
                }
            } else {
                streams = vec![begun.clone()];
                first = all;
            }
        }
        let mut all = begun;
        if i64::try_from(early.len() + first.len()).is_ok_and(|it| it < FEW)
            && let Some(meant) = self.meant(tx)?
        {
            hits = Hits::new(&self.sought, &meant);
            let expression = self.all(Nearness::Meant(&meant));
            streams = vec![all.clone(), without(&expression, &[&all])];
            let room = room - first.len();
            first.extend(self.ranked(tx, &Rest::whole(&streams[1], 1, &rows), room, &hits, true)?);
            all = expression;
        }
        let is_cut = RANKED_MAX < early.len() + first.len();
        first.truncate(RANKED_MAX - early.len());
        let cut = is_cut.then(|| first.last().map_or((0, i64::MAX), |it| (it.stream, it.row)));
        first.extend(early);
        first.sort_by(|a, b| b.score.unwrap_or(0.0).total_cmp(&a.score.unwrap_or(0.0)).then_with(|| a.id.cmp(&b.id)));
        Ok(Matches { streams, ranked: first, early: rows, cut, hits, all })
    }

    /// Everything that matches, in sorts that have no record in common: what has it in the weightiest fields, as it was
    /// typed and going on, and what has it anywhere.
    fn streams(&self, same: &str, begun: &str) -> Vec<String> {
        let (mut streams, mut heavy) = (Vec::new(), String::new());
        if let Some(same_heavy) = self.weightiest(Nearness::Same) {
            heavy = self.weightiest(Nearness::Begun).unwrap_or_default();
            if self.sought.is_begun() {
                streams.push(same_heavy.clone());
                streams.push(without(&heavy, &[&same_heavy]));
            } else {
                streams.push(heavy.clone());
            }
        }
        let others = if heavy.is_empty() { vec![] } else { vec![heavy.as_str()] };
        streams.push(without(same, &others));
        if self.sought.is_begun() {
            streams.push(without(begun, &[others, vec![same]].concat()));
        }
        streams
    }

    /// The records of which a weightiest field is just what is looked for, and then those where it begins with it: as
    /// many as are ranked, each with its relevance.
    fn called_so(&self, tx: &mut Tx<'_>, hits: &Hits) -> Result<Vec<Match>, db::Error> {
        let words = self.sought.whole().collect::<Vec<_>>().join(" ");
        let (mut found, mut indexes) = (Vec::<Match>::new(), Vec::new());
        for column in self.columns.iter().filter(|it| it.is_weightiest) {
            if let Some(index) = &column.names
                && search_tables::has_names(tx, index)?
            {
                indexes.push((quoted(index), search_tables::whole_text("named.", &column.name)));
            }
        }
        for is_whole in [true, false] {
            for (index, (named, is_short)) in &indexes {
                let mut statement = Statement::new(format!(
                    "{} FROM {} AS named INDEXED BY {index} CROSS JOIN {} AS {ALIAS} ON {ALIAS}._row = named._row \
                     WHERE {is_short} AND {named}",
                    self.select_weighed(),
                    self.rows,
                    self.table
                ));
                if is_whole {
                    statement.push(" = ").bind(words.clone());
                } else {
                    // Nothing stands between a space and this sign.
                    statement.push(" >= ").bind(format!("{words} "));
                    statement.push(&format!(" AND {named} < ")).bind(format!("{words}!"));
                }
                if let Some(restriction) = &self.restriction {
                    statement.push(" AND (").append(restriction.clone()).push(")");
                }
                if let Some(unwanted) = unwanted(&self.sought, &self.positions(|_| true)) {
                    let index = &self.index;
                    statement.push(&format!(" AND NOT EXISTS (SELECT 1 FROM {index} WHERE {index} MATCH "));
                    statement.bind(unwanted).push(&format!(" AND {index}.rowid = {ALIAS}._row)"));
                }
                // In the order of the index, so that only these are read.
                let order = if is_whole { "named._row DESC".to_owned() } else { format!("{named}, named._row") };
                statement.push(&format!(" ORDER BY {order} LIMIT ")).bind(RANKED_MAX as i64);
                for it in self.weighed(tx, &statement, 0, hits, false)? {
                    if found.len() < RANKED_MAX && found.iter().all(|other| other.row != it.row) {
                        found.push(it);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The newest records of a stream, each with its relevance.
    fn ranked(
        &self,
        tx: &mut Tx<'_>,
        rest: &Rest<'_>,
        room: usize,
        hits: &Hits,
        is_meant: bool,
    ) -> Result<Vec<Match>, db::Error> {
        let mut statement = self.rest(&self.select_weighed(), rest);
        newest(&mut statement, room, 0);
        self.weighed(tx, &statement, rest.stream, hits, is_meant)
    }

    /// What is read of a record to weigh it.
    fn select_weighed(&self) -> String {
        let mut select = format!("SELECT {ALIAS}._row, {ALIAS}.id");
        for column in &self.columns {
            let name = &column.name;
            select.push_str(&format!(
                ", CASE WHEN octet_length({ALIAS}.{name}) <= {TEXT_BYTES_MAX} THEN {ALIAS}.{name} END"
            ));
        }
        select
    }

    fn weighed(
        &self,
        tx: &mut Tx<'_>,
        statement: &Statement,
        stream: usize,
        hits: &Hits,
        is_meant: bool,
    ) -> Result<Vec<Match>, db::Error> {
        let mut found = Vec::new();
        tx.each(&statement.sql, &statement.values, &mut |row| {
            let texts = self.columns.iter().enumerate().map(|(index, it)| Ok((text(row, 2 + index, it)?, it)));
            let texts: Vec<_> = texts.collect::<Result<_, db::Error>>()?;
            let weighed = texts.iter().filter_map(|(text, it)| {
                Some(Weighed { text: text.as_deref()?, weight: it.weight, is_weightiest: it.is_weightiest })
            });
            let score = relevance(hits, weighed, is_meant);
            found.push(Match { score: Some(score), ..read(row, stream)? });
            Ok(())
        })?;
        Ok(found)
    }

    /// What of a stream comes after a row, if one is given, and is not ranked before its turn.
    fn rest(&self, select: &str, rest: &Rest<'_>) -> Statement {
        let mut statement = self.matching(select, rest.expression, rest.before);
        if !rest.early.is_empty() {
            statement.push(&format!(" AND found.rowid NOT IN ({})", list(rest.early)));
        }
        statement
    }

    fn unranked(&self, tx: &mut Tx<'_>, rest: &Rest<'_>, skip: usize, room: usize) -> Result<Vec<Match>, db::Error> {
        let mut statement = self.rest(&format!("SELECT {ALIAS}._row, {ALIAS}.id"), rest);
        newest(&mut statement, room, skip);
        let mut found = Vec::new();
        tx.each(&statement.sql, &statement.values, &mut |row| {
            found.push(read(row, rest.stream)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// How many rows a statement finds, counted up to `most`.
    fn count(&self, tx: &mut Tx<'_>, found: Statement, most: usize) -> Result<usize, db::Error> {
        let mut statement = Statement::new("SELECT count(*) FROM (");
        statement.append(found).push(" LIMIT ").bind(i64::try_from(most).unwrap_or(i64::MAX)).push(")");
        let count = tx.find(&statement.sql, &statement.values, |row| row.integer(0))?.unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(0))
    }

    fn row_of(&self, tx: &mut Tx<'_>, id: &str) -> Result<Option<i64>, db::Error> {
        tx.find(&format!("SELECT _row FROM {} WHERE id = $1", self.table), &[id.into()], |row| row.integer(0))
    }
}

fn list(rows: &[i64]) -> String {
    rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn newest(statement: &mut Statement, room: usize, skip: usize) {
    statement.push(" ORDER BY found.rowid DESC LIMIT ").bind(i64::try_from(room).unwrap_or(i64::MAX));
    if 0 < skip {
        statement.push(" OFFSET ").bind(i64::try_from(skip).unwrap_or(i64::MAX));
    }
}

fn read(row: &Row<'_>, stream: usize) -> Result<Match, db::Error> {
    Ok(Match { row: row.integer(0)?, id: row.text(1)?.to_owned(), score: None, stream })
}

/// Whether a ranked record comes after the position of another.
fn follows(it: &Match, score: f64, id: &str) -> bool {
    let own = it.score.unwrap_or(0.0);
    own < score || (own == score && id < it.id.as_str())
}

fn read_position(text: &str) -> Option<Position> {
    let Json::Array(parts) = serde_json::from_str(text).ok()? else { return None };
    let [kind, place, id] = parts.as_slice() else { return None };
    let (place, id) = (place.as_u64()?, id.as_str()?.to_owned());
    match kind.as_str()? {
        "ranked" => Some(Position::Ranked(place, id)),
        "unranked" => Some(Position::Unranked(usize::try_from(place).ok()?, id)),
        _ => None,
    }
}

fn cursor_refused() -> Problem {
    let fault = Fault::new("?cursor", "invalid", "is not a cursor of this list; begin again without it");
    Problem::invalid(vec![fault])
}
