//! What a caller may do with the records of a collection: permission, then rule.
use super::query::Asked;
use super::statement::Statement;
use super::store::ALIAS;
use crate::features::accounts::{RECORDS_ADMIN, RECORDS_READ, RECORDS_WRITE};
use crate::features::collections::{Catalogue, Entry, Rule};
use crate::http::{Caller, Fault, Permission, Problem, problem};

/// Who asks, and what that means for every collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub caller: &'a Caller,
    /// Whether rules do not count.
    pub is_admin: bool,
    /// Whether hidden fields are there at all.
    pub sees_hidden: bool,
}

impl<'a> Asker<'a> {
    pub fn to_read(caller: &'a Caller) -> Result<Self, Problem> {
        Self::with(caller, RECORDS_READ)
    }

    pub fn to_write(caller: &'a Caller) -> Result<Self, Problem> {
        Self::with(caller, RECORDS_WRITE)
    }

    fn with(caller: &'a Caller, permission: Permission) -> Result<Self, Problem> {
        caller.must(permission)?;
        let is_admin = caller.may(RECORDS_ADMIN);
        Ok(Self { caller, is_admin, sees_hidden: is_admin })
    }

    /// Refuses what only admins may, before anything else is looked at.
    pub fn must_be_let(&self, entry: &Entry, rule: &Rule, deed: &str) -> Result<(), Problem> {
        if self.is_admin || *rule != Rule::Admins {
            return Ok(());
        }
        if self.caller.is_stranger() {
            return Err(Problem::not_signed_in());
        }
        let detail = format!("only admins may {deed} records of `{}`", entry.name());
        Err(Problem::new(&problem::NOT_ALLOWED, detail))
    }

    /// Appends the condition that a rule sets for this caller. False if it sets none.
    pub fn rule(&self, entry: &Entry, rule: &Rule, statement: &mut Statement) -> bool {
        self.rule_at(entry, rule, ALIAS, statement)
    }

    /// As [`Asker::rule`], for a table that the statement calls `alias`.
    pub fn rule_at(&self, _entry: &Entry, rule: &Rule, _alias: &str, statement: &mut Statement) -> bool {
        match rule {
            _ if self.is_admin => false,
            Rule::Anyone => false,
            Rule::Admins => {
                statement.push("1 = 0");
                true
            }
        }
    }

    /// Appends rule, filter and conditions of a list, joined. False if there is none of them.
    pub fn restrict(
        &self,
        _catalogue: &Catalogue,
        entry: &Entry,
        rule: &Rule,
        asked: &Asked,
        statement: &mut Statement,
        faults: &mut Vec<Fault>,
    ) -> Result<bool, Problem> {
        self.must_be_let(entry, rule, "list")?;
        if asked.filter.is_some() || !asked.conditions.is_empty() {
            faults.push(Fault::new("?filter", "expression-not-supported", "is not understood"));
        }
        Ok(self.rule(entry, rule, statement))
    }
}
