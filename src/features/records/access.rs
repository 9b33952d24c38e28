//! What a caller may do with the records of a collection: permission, then rule.
use std::sync::Arc;

use super::query::{Asked, Trashed};
use super::statement::Statement;
use super::store::ALIAS;
use crate::base::Timestamp;
use crate::base::text::normalize_email;
use crate::expr::{self, Compiled, Condition, Constant, Facts, Purpose};
use crate::features::accounts::{RECORDS_ADMIN, RECORDS_READ, RECORDS_WRITE};
use crate::features::audit::{Actor, Trail};
use crate::features::collections::{Catalogue, Entry, FieldType, Narrow, Rule, Sight, Stored, expression_fault};
use crate::http::{Caller, ClientAddress, Fault, Problem, problem};

/// Who asks, and what that means for every collection.
#[derive(Clone, Debug)]
pub(super) struct Asker<'a> {
    pub caller: &'a Caller,
    /// Which records and fields are there at all, and where rules do not count.
    pub sight: Sight,
    pub circumstances: Circumstances,
    /// Whom the audit trail names.
    pub actor: Actor,
    facts: Arc<Facts>,
}

/// What rules may know of a request besides its caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub now: Timestamp,
    pub method: &'static str,
    pub address: ClientAddress,
}

impl<'a> Asker<'a> {
    pub fn to_read(caller: &'a Caller, collection: &str, circumstances: Circumstances) -> Result<Self, Problem> {
        caller.must_in(RECORDS_READ, collection)?;
        Ok(Self::to_batch(caller, circumstances))
    }

    pub fn to_write(caller: &'a Caller, collection: &str, circumstances: Circumstances) -> Result<Self, Problem> {
        caller.must_in(RECORDS_WRITE, collection)?;
        Ok(Self::to_batch(caller, circumstances))
    }

    /// For operations each of which has a permission of its own.
    pub fn to_batch(caller: &'a Caller, circumstances: Circumstances) -> Self {
        let facts = Arc::new(facts(caller, circumstances));
        let sight = Sight::new(caller.may(RECORDS_ADMIN), Arc::clone(&facts)).narrowed(narrow(caller));
        Self { caller, sight, circumstances, actor: Actor::caller(caller), facts }
    }

    /// The same with what the audit trail is told of the request.
    pub fn leaving(self, trail: &Trail) -> Self {
        Self { actor: trail.of(self.caller), ..self }
    }

    /// The same without a hold on the caller, for a closure that runs elsewhere.
    pub fn detached(&self) -> Judge {
        Judge {
            sight: self.sight.clone(),
            is_stranger: self.caller.is_stranger(),
            actor: self.actor.clone(),
            facts: Arc::clone(&self.facts),
        }
    }

    /// Refuses what only admins may, before anything else is looked at.
    pub fn must_be_let(&self, entry: &Entry, rule: &Rule, deed: &str) -> Result<(), Problem> {
        must_be_let(&self.sight, self.caller.is_stranger(), entry, rule, deed)
    }

    /// The condition that a rule sets for this caller, about the table that the statement calls `alias`.
    pub fn rule(&self, entry: &Entry, rule: &Rule, alias: &str) -> Option<Statement> {
        condition(&self.sight, &self.facts, entry, rule, alias)
    }

    /// As [`Asker::rule`], for one that may ask what the request writes.
    pub fn rule_about(&self, entry: &Entry, rule: &Rule, new: &[(usize, Stored)]) -> Option<Statement> {
        condition_about(&self.sight, &self.facts, entry, rule, new)
    }

    /// Which of the records in the bin a reader is shown: those that they may delete, by their role and by the rule
    /// `delete`.
    pub fn of_bin(&self, entry: &Entry, trashed: Option<Trashed>, faults: &mut Vec<Fault>) -> Option<Statement> {
        let trashed = trashed?;
        if !entry.collection.keeps_deleted() {
            let detail = "is for collections that keep deleted records, and this one does not";
            faults.push(Fault::new("?trashed", "unknown", detail));
        }
        let is_deleted = |is| Statement::new(format!("{ALIAS}.\"isDeleted\" = {is}"));
        let mut shown = is_deleted(1);
        if !self.caller.may_in(RECORDS_WRITE, entry.name()) {
            shown.push(" AND 1 = 0");
        } else if let Some(rule) = self.rule(entry, &entry.rules.delete, ALIAS) {
            shown.push(" AND (").append(rule).push(")");
        }
        if trashed == Trashed::With {
            let bin = std::mem::replace(&mut shown, is_deleted(0));
            shown.push(" OR (").append(bin).push(")");
        }
        Some(shown)
    }

    /// Rule, filter and conditions of a list, joined; nothing if there is none of them.
    pub fn restriction(
        &self,
        catalogue: &Catalogue,
        entry: &Entry,
        asked: &Asked,
        faults: &mut Vec<Fault>,
    ) -> Option<Statement> {
        let mut parts: Vec<Statement> = self.rule(entry, &entry.rules.list, ALIAS).into_iter().collect();
        parts.extend(self.of_bin(entry, asked.trashed, faults));
        let schema = catalogue.schema(&self.sight);
        if let Some(text) = &asked.filter {
            let compiled = expr::parse(text).and_then(|it| expr::compile(&schema, entry.name(), &it, Purpose::Filter));
            match compiled {
                Ok(compiled) => parts.push(resolved(&compiled, ALIAS, &self.facts)),
                Err(error) => faults.push(expression_fault("?filter".to_owned(), &error)),
            }
        }
        if !asked.conditions.is_empty() {
            let conditions: Vec<_> = asked.conditions.iter().map(|it| as_kept(entry, it)).collect();
            match expr::compile_conditions(&schema, entry.name(), &conditions) {
                Ok(compiled) => parts.push(resolved(&compiled, ALIAS, &self.facts)),
                Err(errors) => {
                    faults.extend(errors.iter().map(|(name, it)| expression_fault(format!("?{name}"), it)));
                }
            }
        }
        let mut joined = Statement::default();
        for (index, part) in parts.into_iter().enumerate() {
            joined.push(if index == 0 { "(" } else { " AND (" }).append(part).push(")");
        }
        (!joined.sql.is_empty()).then_some(joined)
    }
}

/// A condition with its value as the field keeps it: an address is compared in the form that it is kept in.
fn as_kept(entry: &Entry, condition: &Condition) -> Condition {
    let mut condition = condition.clone();
    let is_email = entry.field(&condition.path).is_some_and(|(_, it)| it.field.field_type == FieldType::Email);
    if is_email && ["eq", "ne", "in"].contains(&condition.operator.as_str()) {
        let values = condition.value.split(',').map(|it| normalize_email(it).unwrap_or_else(|_| it.to_owned()));
        condition.value = values.collect::<Vec<_>>().join(",");
    }
    condition
}

/// What judging by rules needs of whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub sight: Sight,
    is_stranger: bool,
    /// Whom the audit trail names.
    pub actor: Actor,
    facts: Arc<Facts>,
}

impl Judge {
    /// For what the server does by itself.
    pub fn of_the_server() -> Self {
        let sight = Sight::new(true, Arc::default());
        Self { sight, is_stranger: false, actor: Actor::server(), facts: Arc::default() }
    }

    /// The same at another time.
    pub fn at(&self, now: Timestamp) -> Self {
        let facts = Facts { now: now.millis(), ..Facts::clone(&self.facts) };
        Self { facts: Arc::new(facts), ..self.clone() }
    }

    /// A client's own condition.
    pub fn filter(&self, compiled: &Compiled) -> Statement {
        resolved(compiled, ALIAS, &self.facts)
    }

    /// The same for a request that would have come alone, by this method.
    pub fn by(&self, method: &'static str) -> Self {
        let facts = Facts { method: method.to_owned(), ..Facts::clone(&self.facts) };
        Self { facts: Arc::new(facts), ..self.clone() }
    }

    /// As [`Asker::must_be_let`].
    pub fn must_be_let(&self, entry: &Entry, rule: &Rule, deed: &str) -> Result<(), Problem> {
        must_be_let(&self.sight, self.is_stranger, entry, rule, deed)
    }

    /// Whether a rule is true for this caller whatever the record is, so that [`Judge::rule`] has nothing to ask.
    pub fn is_let_always(&self, entry: &Entry, rule: &Rule) -> bool {
        let is_let = self.sight.rules_over(entry.name()) || *rule == Rule::Anyone;
        is_let && self.sight.reads(entry.name())
    }

    pub fn rule(&self, entry: &Entry, rule: &Rule) -> Option<Statement> {
        condition(&self.sight, &self.facts, entry, rule, ALIAS)
    }

    pub fn rule_about(&self, entry: &Entry, rule: &Rule, new: &[(usize, Stored)]) -> Option<Statement> {
        condition_about(&self.sight, &self.facts, entry, rule, new)
    }
}

fn must_be_let(sight: &Sight, is_stranger: bool, entry: &Entry, rule: &Rule, deed: &str) -> Result<(), Problem> {
    if sight.rules_over(entry.name()) || *rule != Rule::Admins {
        return Ok(());
    }
    if is_stranger {
        return Err(Problem::not_signed_in());
    }
    let detail = format!("only admins may {deed} records of `{}`", entry.name());
    Err(Problem::new(&problem::NOT_ALLOWED, detail))
}

fn condition_about(
    sight: &Sight,
    facts: &Facts,
    entry: &Entry,
    rule: &Rule,
    new: &[(usize, Stored)],
) -> Option<Statement> {
    if !matches!(rule, Rule::When(compiled) if compiled.asks_for_changes()) {
        return condition(sight, facts, entry, rule, ALIAS);
    }
    let name = |position: usize| entry.judges[position].field.name.clone();
    let new = new.iter().map(|(position, value)| (name(*position), constant(value))).collect();
    condition(sight, &Facts { new, ..facts.clone() }, entry, rule, ALIAS)
}

/// What a rule asks of a record, wherever it was come to from. One of a collection that the caller may not read at all
/// is not there.
fn condition(sight: &Sight, facts: &Facts, entry: &Entry, rule: &Rule, alias: &str) -> Option<Statement> {
    match rule {
        _ if !sight.reads(entry.name()) => Some(Statement::new("1 = 0")),
        _ if sight.rules_over(entry.name()) => None,
        Rule::Anyone => None,
        Rule::Admins => Some(Statement::new("1 = 0")),
        Rule::When(compiled) => Some(resolved(compiled, alias, facts)),
    }
}

/// What is particular about a caller who may more with some collections than with others.
fn narrow(caller: &Caller) -> Option<Narrow> {
    let permissions = &caller.principal().permissions;
    let named = |wanted| permissions.collections(wanted).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>();
    let reads = (!caller.may(RECORDS_READ)).then(|| named(RECORDS_READ));
    let rules_over = named(RECORDS_ADMIN);
    (reads.is_some() || !rules_over.is_empty()).then_some(Narrow { reads, rules_over })
}

fn facts(caller: &Caller, circumstances: Circumstances) -> Facts {
    let id = caller.user_id().map(|it| it.to_string());
    let is_known = id.is_some();
    let principal = caller.principal();
    Facts {
        auth_id: id,
        auth_email: is_known.then(|| principal.email.clone()),
        auth_role: is_known.then(|| principal.role.clone()),
        auth_tier: principal.tier.clone().filter(|_| is_known),
        auth_verified: principal.email_verified,
        auth_signed_in: is_known,
        now: circumstances.now.millis(),
        method: circumstances.method.to_owned(),
        ip: circumstances.address.0.map(|it| it.to_string()),
        new: Vec::new(),
    }
}

pub(super) fn resolved(compiled: &Compiled, alias: &str, facts: &Facts) -> Statement {
    let values = compiled.binds().iter().map(|it| it.resolve(facts).into()).collect();
    Statement { sql: compiled.sql(alias), values }
}

fn constant(stored: &Stored) -> Constant {
    match stored {
        Stored::Null => Constant::Null,
        Stored::Integer(number) => Constant::Integer(*number),
        Stored::Real(number) => Constant::Real(*number),
        Stored::Text(text) => Constant::Text(text.clone()),
    }
}
