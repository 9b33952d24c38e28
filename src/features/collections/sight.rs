//! Which fields a caller sees, and which they set: decided here, asked by everything that shows, finds or writes.
use std::sync::Arc;

use super::model::Field;
use super::value::Judge;
use crate::expr::{self, CallerCondition, Facts};

/// What one caller sees of fields, and may set of them.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Whether hidden fields are there too; those that are only written are there for nobody.
    pub is_admin: bool,
    facts: Arc<Facts>,
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
        let stranger = Sight::new(false, Arc::default());
        (access.is_public, access.is_open) = (stranger.may_see(field, &access), stranger.may_set(field, &access));
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
        Self { is_admin, facts }
    }

    /// Whether a field is there at all for this caller.
    pub fn sees(&self, judge: &Judge) -> bool {
        self.may_see(&judge.field, &judge.access)
    }

    /// Whether this caller may set a field.
    pub fn sets(&self, judge: &Judge) -> bool {
        self.may_set(&judge.field, &judge.access)
    }

    pub(super) fn holds(&self, who: &Who) -> bool {
        who.holds(&self.facts)
    }

    fn may_see(&self, field: &Field, access: &Access) -> bool {
        let is_let = || access.readable.as_ref().is_none_or(|it| self.holds(it));
        !field.write_only && (self.is_admin || (!field.hidden && is_let()))
    }

    fn may_set(&self, field: &Field, access: &Access) -> bool {
        if field.is_set_by_server() {
            return false;
        }
        if self.is_admin {
            return true;
        }
        match &access.writable {
            _ if field.hidden => false,
            Some(who) => self.holds(who),
            // What is not there cannot be set, unless that is all that can be done with it.
            None => access.readable.as_ref().is_none_or(|it| self.holds(it)),
        }
    }
}
