//! A page in the order of relevance.
use serde_json::{Value as Json, json};

use super::super::error::Error;
use super::super::list::{Listed, Plan};
use super::super::statement::Statement;
use super::super::store::ALIAS;
use super::hits::Hits;
use super::relevance::{Weighed, relevance};
use super::{FEW, Nearness, RANKED_MAX, Search, text, without};
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
        let found = search.unranked(tx, expression, stream, row, skip, room)?;
        let is_over = found.is_empty() || found.len() < room;
        if is_over && 0 < skip {
            let passed = search.count(tx, expression, Some(row), skip)?;
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
            Some(_) => i64::try_from(search.count(tx, &matches.all, None, usize::MAX)?).unwrap_or(i64::MAX),
        });
    }
    Ok(listed)
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
        let mut streams = Vec::new();
        let mut heavy = String::new();
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
        streams.push(without(&same, &others));
        if self.sought.is_begun() {
            streams.push(without(&begun, &[others, vec![same.as_str()]].concat()));
        }
        let mut first = self.ranked(tx, &streams[0], 0, RANKED_MAX + 1, &hits, false)?;
        if first.len() <= RANKED_MAX && 1 < streams.len() {
            let all = self.ranked(tx, &begun, 0, RANKED_MAX + 1, &hits, false)?;
            if RANKED_MAX < all.len() {
                for (index, expression) in streams.iter().enumerate().skip(1) {
                    let room = RANKED_MAX + 1 - first.len();
                    if 0 < room {
                        first.extend(self.ranked(tx, expression, index, room, &hits, false)?);
                    }
                }
            } else {
                streams = vec![begun.clone()];
                first = all;
            }
        }
        let mut all = begun;
        if i64::try_from(first.len()).is_ok_and(|it| it < FEW)
            && let Some(meant) = self.meant(tx)?
        {
            hits = Hits::new(&self.sought, &meant);
            let expression = self.all(Nearness::Meant(&meant));
            streams = vec![all.clone(), without(&expression, &[&all])];
            let room = RANKED_MAX + 1 - first.len();
            first.extend(self.ranked(tx, &streams[1], 1, room, &hits, true)?);
            all = expression;
        }
        let is_cut = RANKED_MAX < first.len();
        first.truncate(RANKED_MAX);
        let cut = first.last().filter(|_| is_cut).map(|it| (it.stream, it.row));
        first.sort_by(|a, b| b.score.unwrap_or(0.0).total_cmp(&a.score.unwrap_or(0.0)).then_with(|| a.id.cmp(&b.id)));
        Ok(Matches { streams, ranked: first, cut, hits, all })
    }

    /// The newest records of a stream, each with its relevance.
    fn ranked(
        &self,
        tx: &mut Tx<'_>,
        expression: &str,
        stream: usize,
        room: usize,
        hits: &Hits,
        is_meant: bool,
    ) -> Result<Vec<Match>, db::Error> {
        let mut select = format!("SELECT {ALIAS}._row, {ALIAS}.id");
        for column in &self.columns {
            let name = &column.name;
            select.push_str(&format!(
                ", CASE WHEN octet_length({ALIAS}.{name}) <= {TEXT_BYTES_MAX} THEN {ALIAS}.{name} END"
            ));
        }
        let mut statement = self.matching(&select, expression, None);
        newest(&mut statement, room, 0);
        let mut found = Vec::new();
        tx.each(&statement.sql, &statement.values, &mut |row| {
            let texts = self.columns.iter().enumerate().map(|(index, it)| Ok((text(row, 2 + index, it)?, it.weight)));
            let texts: Vec<_> = texts.collect::<Result<_, db::Error>>()?;
            let weighed =
                texts.iter().filter_map(|(text, weight)| Some(Weighed { text: text.as_deref()?, weight: *weight }));
            let score = relevance(hits, weighed, is_meant);
            found.push(Match { score: Some(score), ..read(row, stream)? });
            Ok(())
        })?;
        Ok(found)
    }

    /// What comes after a row of a stream.
    fn unranked(
        &self,
        tx: &mut Tx<'_>,
        expression: &str,
        stream: usize,
        before: i64,
        skip: usize,
        room: usize,
    ) -> Result<Vec<Match>, db::Error> {
        let select = format!("SELECT {ALIAS}._row, {ALIAS}.id");
        let mut statement = self.matching(&select, expression, Some(before));
        newest(&mut statement, room, skip);
        let mut found = Vec::new();
        tx.each(&statement.sql, &statement.values, &mut |row| {
            found.push(read(row, stream)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// How many match, counted up to `most`.
    fn count(&self, tx: &mut Tx<'_>, expression: &str, before: Option<i64>, most: usize) -> Result<usize, db::Error> {
        let mut statement = self.matching("SELECT count(*) FROM (SELECT 1", expression, before);
        statement.push(" LIMIT ").bind(i64::try_from(most).unwrap_or(i64::MAX)).push(")");
        let count = tx.find(&statement.sql, &statement.values, |row| row.integer(0))?.unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(0))
    }

    fn row_of(&self, tx: &mut Tx<'_>, id: &str) -> Result<Option<i64>, db::Error> {
        tx.find(&format!("SELECT _row FROM {} WHERE id = $1", self.table), &[id.into()], |row| row.integer(0))
    }
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
