//! A total that is not counted: what share of some rows fits, taken for all (`Prefer: count=planned`, as PostgREST has it).
//!
//! The rows stand in windows that are spread evenly over the table, so that it does not matter how they are ordered in it, nor
//! how many were deleted. It costs the same for a table of any size.
use super::statement::Statement;
use super::store::ALIAS;
use crate::db::{self, Row, Tx};

/// Windows that are looked at, and the places for rows in each. A table with no more places than these is counted.
const WINDOWS: i64 = 40;
const WINDOW_ROWS: i64 = 250;

/// What is to be estimated.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// What stands after FROM to read the records.
    pub from: String,
    pub matching: Statement,
}

impl Planned {
    /// About how many fit. Nothing, if there are so few that they can be counted.
    pub fn total(&self, tx: &mut Tx<'_>) -> Result<Option<i64>, db::Error> {
        let ends = format!("SELECT min(_row), max(_row) FROM {}", self.from);
        let ends = tx.find(&ends, &[], |row| Ok((row.optional(0, Row::integer)?, row.optional(1, Row::integer)?)))?;
        let Some((Some(first), Some(last))) = ends else { return Ok(None) };
        let places = last.saturating_sub(first).saturating_add(1);
        if places <= WINDOWS * WINDOW_ROWS {
            return Ok(None);
        }
        let mut found = 0;
        for window in 0..WINDOWS {
            // The first begins with the first row, and the last ends with the last one.
            let begin = first + (places - WINDOW_ROWS) / (WINDOWS - 1) * window;
            // A limit keeps the rows together: without it the engine might look for all that fit, and then for the window.
            let mut sought =
                Statement::new(format!("SELECT count(*) FROM (SELECT * FROM {} WHERE _row BETWEEN ", self.from));
            sought.bind(begin).push(" AND ").bind(begin + WINDOW_ROWS - 1).push(" LIMIT ").bind(WINDOW_ROWS);
            sought.push(&format!(") AS {ALIAS} WHERE ")).append(self.matching.clone());
            found += tx.find(&sought.sql, &sought.values, |row| row.integer(0))?.unwrap_or(0);
        }
        let looked_at = i128::from(WINDOWS * WINDOW_ROWS);
        let total = i128::from(found) * i128::from(places) / looked_at;
        Ok(Some(i64::try_from(total).unwrap_or(i64::MAX)))
    }
}
