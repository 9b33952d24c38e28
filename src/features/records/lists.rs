//! Lists of records behind records: `expand` over relations to several, and over relations backwards.
//!
//! A page is written with gaps where such lists will stand. All that one list of the page needs is read by one
//! statement over the ids that lead there, and so is what stands in the gaps of these again: as many statements as
//! lists are asked for, however many records there are.
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde_json::Value as Json;

use super::error::Error;
use super::projection::Projection;
use super::statement::Statement;
use crate::db::{self, Tx, Value};
use crate::http::Fault;

/// Records of one list backwards, of which there may be any number; `_more` names the lists that have more.
pub(super) const BACKWARDS_MAX: usize = 100;
/// Largest answer with everything that is expanded in it.
const BYTES_MAX: usize = 8 << 20;

/// A place in JSON that was written, where lists of a record belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub at: usize,
    /// Which lists: a place in [`Lists`].
    pub lists: usize,
    /// The record that they are of.
    pub id: String,
    /// Whether other members stand before it.
    pub follows: bool,
}

/// One list that is asked for.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub name: String,
    /// Reads the records of all that lead there: first whose it is, then what is shown of it, those of one owner one
    /// after another.
    pub statement: Statement,
    /// The hole for the ids that lead there.
    pub ids_at: usize,
    pub projection: Projection,
    /// How many of one owner are shown; the statement reads one more.
    pub most: Option<usize>,
}

/// All lists that are asked for: of each kind of record that has some, all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists(pub Vec<Vec<List>>);

/// JSON with gaps.
#[derive(Debug, Default)]
struct Written {
    json: Vec<u8>,
    gaps: Vec<Gap>,
    /// Where the list of each owner begins and ends, one after the other.
    marks: Vec<usize>,
    owners: HashMap<String, Owned>,
}

#[derive(Debug)]
struct Owned {
    number: usize,
    count: usize,
    has_more: bool,
}

impl Written {
    fn of(&self, id: &str) -> &[u8] {
        let range: Option<Range<usize>> =
            self.owners.get(id).map(|it| self.marks[2 * it.number]..self.marks[2 * it.number + 1]);
        range.and_then(|it| self.json.get(it)).unwrap_or(b"[]")
    }

    fn has_more(&self, id: &str) -> bool {
        self.owners.get(id).is_some_and(|it| it.has_more)
    }
}

impl Lists {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fills the gaps of JSON, and moves the marks in it along.
    pub fn fill(&self, tx: &mut Tx<'_>, json: &mut Vec<u8>, gaps: &[Gap], marks: &mut [usize]) -> Result<(), Error> {
        if gaps.is_empty() {
            return Ok(());
        }
        let mut ids: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for gap in gaps {
            ids.entry(gap.lists).or_default().push(&gap.id);
        }
        let mut read = HashMap::new();
        for (lists, mut ids) in ids {
            ids.sort_unstable();
            ids.dedup();
            let ids = Json::from(ids).to_string();
            let mut written = Vec::new();
            for list in self.0.get(lists).into_iter().flatten() {
                let mut inner = list.read(tx, &ids)?;
                let gaps = std::mem::take(&mut inner.gaps);
                self.fill(tx, &mut inner.json, &gaps, &mut inner.marks)?;
                written.push((list, inner));
            }
            read.insert(lists, written);
        }
        let mut out = Vec::with_capacity(json.len() * 2);
        let (mut from, mut mark) = (0, 0);
        for gap in gaps {
            let moved = out.len() - from;
            while marks.get(mark).is_some_and(|it| *it <= gap.at) {
                marks[mark] += moved;
                mark += 1;
            }
            out.extend_from_slice(&json[from..gap.at]);
            from = gap.at;
            write(gap, read.get(&gap.lists).map(Vec::as_slice).unwrap_or_default(), &mut out);
            if BYTES_MAX < out.len() {
                return Err(too_large());
            }
        }
        let moved = out.len() - from;
        marks[mark..].iter_mut().for_each(|it| *it += moved);
        out.extend_from_slice(&json[from..]);
        *json = out;
        Ok(())
    }
}

/// Writes the lists of one gap.
fn write(gap: &Gap, lists: &[(&List, Written)], out: &mut Vec<u8>) {
    let mut follows = gap.follows;
    let mut member = |name: &str, out: &mut Vec<u8>| {
        if std::mem::replace(&mut follows, true) {
            out.push(b',');
        }
        out.extend_from_slice(Json::from(name).to_string().as_bytes());
        out.push(b':');
    };
    for (list, written) in lists {
        member(&list.name, out);
        out.extend_from_slice(written.of(&gap.id));
    }
    let more: Vec<&str> =
        lists.iter().filter(|(_, it)| it.has_more(&gap.id)).map(|(list, _)| list.name.as_str()).collect();
    if !more.is_empty() {
        member("_more", out);
        out.extend_from_slice(Json::from(more).to_string().as_bytes());
    }
}

impl List {
    /// Reads the lists of all owners.
    fn read(&self, tx: &mut Tx<'_>, ids: &str) -> Result<Written, Error> {
        let mut statement = self.statement.clone();
        statement.values[self.ids_at] = Value::from(ids.to_owned());
        let (mut written, mut last) = (Written::default(), String::new());
        let mut is_too_large = false;
        let outcome = tx.each(&statement.sql, &statement.values, &mut |row| {
            let owner = row.text(0)?;
            if written.owners.is_empty() || owner != last {
                written.end();
                owner.clone_into(&mut last);
                let owned = Owned { number: written.owners.len(), count: 0, has_more: false };
                written.owners.insert(last.clone(), owned);
                written.marks.push(written.json.len());
                written.json.push(b'[');
            }
            let Some(owned) = written.owners.get_mut(&last) else { return Ok(()) };
            if self.most == Some(owned.count) {
                owned.has_more = true;
                return Ok(());
            }
            if 0 < owned.count {
                written.json.push(b',');
            }
            owned.count += 1;
            self.projection.write_with_gaps(row, 1, &mut written.json, &mut written.gaps)?;
            is_too_large = BYTES_MAX < written.json.len();
            if is_too_large { Err(db::Error::BudgetSpent) } else { Ok(()) }
        });
        if is_too_large {
            return Err(too_large());
        }
        outcome?;
        written.end();
        Ok(written)
    }
}

impl Written {
    /// Ends the list that was begun last.
    fn end(&mut self) {
        if self.marks.len() % 2 == 1 {
            self.json.push(b']');
            self.marks.push(self.json.len());
        }
    }
}

fn too_large() -> Error {
    let detail = format!(
        "the answer would have more than {} MiB with everything in it; ask for fewer records, or for some members \
         alone with `fields`",
        BYTES_MAX >> 20
    );
    Error::Invalid(vec![Fault::new("?expand", "too-large", detail)])
}
