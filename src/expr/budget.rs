//! What one condition may ask for, so that SQLite takes it and nobody's memory or stack runs out.
use super::bind::Bind;
use super::depth;
use super::error::Error;

/// Most steps along relations, forwards and backwards, in one condition, with those of the rules on the way.
const STEPS_MAX: usize = 24;
/// Most parts within one another, with those of the rules on the way: each needs some of a stack that may be small.
const NESTING_MAX: usize = 40;
/// Most SQL. Some parts stand in it twice, so that a text of 2,000 bytes could become gigabytes; a rule, a filter and
/// parameters together stay below what SQLite takes, 1 MiB.
const SQL_BYTES_MAX: usize = 128 << 10;
/// Most holes. SQLite takes 10,000 in a statement, and that may have a rule besides.
const HOLES_MAX: usize = 4_000;

/// What a condition, or several that are joined, used so far of what it may.
#[derive(Debug, Default)]
pub(super) struct Spent {
    pub binds: Vec<Bind>,
    steps: usize,
    nesting: usize,
    /// Of the conditions that are done.
    bytes: usize,
}

impl Spent {
    /// Counts a step along a relation.
    pub fn step(&mut self) -> Result<usize, Error> {
        self.steps += 1;
        if STEPS_MAX < self.steps {
            let detail = format!("follows more than {STEPS_MAX} relations, with those of the rules on the way");
            return Err(Error::too_long(detail));
        }
        Ok(self.steps)
    }

    /// Goes into a part of the expression.
    pub fn enter(&mut self) -> Result<(), Error> {
        if NESTING_MAX <= self.nesting {
            let detail = format!("at most {NESTING_MAX} parts within one another, with those of the rules on the way");
            return Err(Error::too_long(detail));
        }
        self.nesting += 1;
        Ok(())
    }

    /// Comes out of it.
    pub fn leave(&mut self) {
        self.nesting -= 1;
    }

    /// Refuses SQL that grew too large, before it grows further.
    pub fn check_size(&self, sql: &str) -> Result<(), Error> {
        if SQL_BYTES_MAX < self.bytes + sql.len() || HOLES_MAX < self.binds.len() {
            return Err(Error::too_long("asks for too much at once"));
        }
        Ok(())
    }

    /// Counts a condition that is done, and refuses one that SQLite would not take.
    pub fn add_part(&mut self, sql: &str) -> Result<(), Error> {
        self.check_size(sql)?;
        self.bytes += sql.len();
        if depth::DEPTH_MAX < depth::depth(sql) {
            return Err(Error::too_long("has too many parts within one another"));
        }
        Ok(())
    }
}
