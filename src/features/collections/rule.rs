//! Rules: expressions that are true for those who may.
use super::model::Collection;
use crate::http::Fault;

/// What one rule says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// Admins only.
    #[default]
    Admins,
    /// Anyone, signed in or not.
    Anyone,
}

/// The rules of a collection, ready to be asked.
#[derive(Debug, Default)]
pub struct CompiledRules {
    pub list: Rule,
    pub view: Rule,
    pub create: Rule,
    pub update: Rule,
    pub delete: Rule,
}

/// What expressions may talk about.
#[derive(Debug)]
pub struct Schema;

pub(super) fn schema(_collections: &[Collection]) -> Schema {
    Schema
}

impl CompiledRules {
    pub(super) fn compile(collection: &Collection, _schema: &Schema) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut compile = |name: &str, text: &Option<String>| match text.as_deref().map(str::trim) {
            None => Rule::Admins,
            Some("true") => Rule::Anyone,
            Some(_) => {
                faults.push(Fault::new(format!("/rules/{name}"), "expression-not-supported", "is not understood"));
                Rule::Admins
            }
        };
        let rules = &collection.rules;
        let compiled = Self {
            list: compile("list", &rules.list),
            view: compile("view", &rules.view),
            create: compile("create", &rules.create),
            update: compile("update", &rules.update),
            delete: compile("delete", &rules.delete),
        };
        if faults.is_empty() { Ok(compiled) } else { Err(faults) }
    }
}
