//! Which fields a caller sees, and which they set: decided here, asked by everything that shows, finds or writes.
use std::sync::Arc;

use super::model::Field;
use super::value::Judge;
use crate::expr::{self, CallerCondition, Facts};

/// What one caller sees of fields, and may set of them.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Whether hidden fields are there too, in every collection; those that are only written are there for nobody.
    pub is_admin: bool,
    pub(super) narrow: Option<Arc<Narrow>>,
    facts: Arc<Facts>,
}

/// What someone sees who may not the same with all collections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Narrow {
    /// The only collections whose records are there; absent: those of all.
    pub reads: Option<Vec<String>>,
    /// The collections in which rules do not count.
    pub rules_over: Vec<String>,
}

/// Who may see a field, and who may set it.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Nothing: everyone.
    pub(super) readable: Option<Who>,
    pub(super) writable: Option<Who>,
    is_public: bool,
    is_open: bool,
}

/// Those for whom a condition is true; nobody, if it cannot be understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Who(Option<CallerCondition>);

impl Who {
    fn of(text: Option<&String>) -> Option<Self> {
        let text = text?;
        Some(Self(expr::parse(text).and_then(CallerCondition::new).ok()))
    }

    pub(super) fn holds(&self, facts: &Facts) -> bool {
        self.0.as_ref().is_some_and(|it| it.holds(facts))
    }
}

impl Access {
    pub(super) fn of(field: &Field) -> Self {
        let (readable, writable) = (Who::of(field.readable_by.as_ref()), Who::of(field.writable_by.as_ref()));
        let mut access = Self { readable, writable, is_public: false, is_open: false };
        let stranger = Facts::default();
        access.is_public = may_see(field, &access, false, &stranger);
        access.is_open = may_set(field, &access, false, &stranger);
        access
    }

    /// Whether anyone sees the field, signed in or not.
    pub fn is_public(&self) -> bool {
        self.is_public
    }

    /// Whether anyone may set the field, signed in or not.
    pub fn is_open(&self) -> bool {
        self.is_open
    }
}

impl Sight {
    pub fn new(is_admin: bool, facts: Arc<Facts>) -> Self {
        Self { is_admin, narrow: None, facts }
    }

    /// The same for someone who may more with some collections than with others.
    pub fn narrowed(self, narrow: Option<Narrow>) -> Self {
        Self { narrow: narrow.map(Arc::new), ..self }
    }

    /// Whether records of a collection may be there at all, wherever something leads to them.
    pub fn reads(&self, collection: &str) -> bool {
        let reads = self.narrow.as_ref().and_then(|it| it.reads.as_ref());
        reads.is_none_or(|it| it.iter().any(|it| it == collection))
    }

    /// Whether rules do not count in a collection.
    pub fn rules_over(&self, collection: &str) -> bool {
        self.is_admin || self.narrow.as_ref().is_some_and(|it| it.rules_over.iter().any(|it| it == collection))
    }

    /// Whether a field is there at all for this caller.
    pub fn sees(&self, judge: &Judge) -> bool {
        may_see(&judge.field, &judge.access, self.rules_over(&judge.collection), &self.facts)
    }

    /// Whether this caller may set a field.
    pub fn sets(&self, judge: &Judge) -> bool {
        may_set(&judge.field, &judge.access, self.rules_over(&judge.collection), &self.facts)
    }

    pub(super) fn holds(&self, who: &Who) -> bool {
        who.holds(&self.facts)
    }
}

fn may_see(field: &Field, access: &Access, rules_over: bool, facts: &Facts) -> bool {
    let is_let = || access.readable.as_ref().is_none_or(|it| it.holds(facts));
    !field.write_only && (rules_over || (!field.hidden && is_let()))
}

fn may_set(field: &Field, access: &Access, rules_over: bool, facts: &Facts) -> bool {
    if field.is_set_by_server() {
        return false;
    }
    if rules_over {
        return true;
    }
    match &access.writable {
        _ if field.hidden => false,
        Some(who) => who.holds(facts),
        // What is not there cannot be set, unless that is all that can be done with it.
        None => access.readable.as_ref().is_none_or(|it| it.holds(facts)),
    }
}
