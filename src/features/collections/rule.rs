//! Rules: expressions that are true for those who may.
use super::check::{LIVE_USERS, TIMES, USERS};
use super::model::{Collection, FieldType};
use super::view::{Viewed, Views};
use crate::expr::{self, CallerFields, Compiled, Expression, Field, Kind, Purpose, Schema, Table, View};
use crate::http::Fault;

/// What one rule says.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Rule {
    /// Admins only.
    #[default]
    Admins,
    /// Anyone, signed in or not.
    Anyone,
    /// Those for whom the condition is true.
    When(Compiled),
}

/// The rules of a collection, ready to be asked.
#[derive(Debug, Default)]
pub struct CompiledRules {
    pub list: Rule,
    pub view: Rule,
    pub create: Rule,
    pub update: Rule,
    pub delete: Rule,
    /// `list` and `view` about the columns of a record as an event tells of them.
    pub list_of_event: Rule,
    pub view_of_event: Rule,
}

/// What expressions may talk about: all collections, of accounts what others may know, and fields of the caller.
///
/// Rules that cannot be understood let nobody through here; what is wrong with them is told when their own
/// collection is compiled.
pub(super) fn schema(collections: &[Collection], views: &Views, of_callers: &CallerFields) -> Schema {
    let text = |name: &str| Field { name: name.to_owned(), kind: Kind::Text, hidden: false };
    let users = Table {
        name: USERS.to_owned(),
        sql_name: LIVE_USERS.to_owned(),
        fields: ["id", "name", "role"].map(text).into(),
        view: View::Anyone,
        is_computed: false,
    };
    let table = |it| table(it, views.get(&it.id));
    Schema::new(collections.iter().map(table).chain([users])).with_caller(of_callers.clone())
}

fn table(collection: &Collection, view: Option<&Viewed>) -> Table {
    let times = TIMES.into_iter().filter(|it| view.is_none_or(|view| view.times.contains(it)));
    let times = times.map(|it| Field { name: it.to_owned(), kind: Kind::Moment, hidden: false });
    let of_deleted = [("isDeleted", Kind::Bool), ("deletedAt", Kind::Moment)];
    let of_deleted = of_deleted.map(|(name, kind)| Field { name: name.to_owned(), kind, hidden: false });
    let deleted = of_deleted.into_iter().filter(|_| collection.keeps_deleted());
    let id = Field { name: "id".to_owned(), kind: Kind::Text, hidden: false };
    let own = collection.fields.iter().map(|it| Field {
        name: it.name.clone(),
        kind: kind(it, collection),
        hidden: it.hidden,
    });
    Table {
        name: collection.name.clone(),
        sql_name: super::catalogue::live_table(collection),
        fields: [id].into_iter().chain(times).chain(deleted).chain(own).collect(),
        view: match collection.rules.view.as_deref().map(str::trim) {
            None => View::Nobody,
            Some("true") => View::Anyone,
            Some(text) => expr::parse(text).map_or(View::Nobody, View::When),
        },
        is_computed: view.is_some(),
    }
}

fn kind(field: &super::Field, collection: &Collection) -> Kind {
    match field.field_type {
        FieldType::Integer => Kind::Integer,
        FieldType::Number => Kind::Number,
        FieldType::Bool => Kind::Bool,
        FieldType::Datetime | FieldType::Autodate => Kind::Moment,
        FieldType::Geo => Kind::Place,
        FieldType::Json => Kind::Json,
        FieldType::Select if field.is_multiple() => Kind::List,
        FieldType::Relation if field.is_multiple() => Kind::References {
            target: field.collection.clone().unwrap_or_default(),
            join: super::catalogue::join_table(collection.id, &field.name),
        },
        FieldType::Relation => Kind::Reference(field.collection.clone().unwrap_or_default()),
        FieldType::Text | FieldType::Select | FieldType::Email | FieldType::Url => Kind::Text,
    }
}

impl CompiledRules {
    pub(super) fn compile(collection: &Collection, schema: &Schema) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut compile = |name: &str, text: &Option<String>, purpose| match text.as_deref().map(str::trim) {
            None => Rule::Admins,
            Some("true") => Rule::Anyone,
            Some(text) => {
                let expression: Result<Expression, _> = expr::parse(text);
                let compiled = expression.and_then(|it| expr::compile(schema, &collection.name, &it, purpose));
                compiled.map_or_else(
                    |error| {
                        faults.push(fault(format!("/rules/{name}"), &error));
                        Rule::Admins
                    },
                    Rule::When,
                )
            }
        };
        let rules = &collection.rules;
        let list = compile("list", &rules.list, Purpose::Rule);
        let view = compile("view", &rules.view, Purpose::Rule);
        // What refers to several records is in tables of its own; without that, a row is nothing but its columns.
        let has_lists = collection.fields.iter().any(|it| it.field_type == FieldType::Relation && it.is_multiple());
        let (list_of_event, view_of_event) = match has_lists {
            true => {
                (compile("list", &rules.list, Purpose::RuleOfEvent), compile("view", &rules.view, Purpose::RuleOfEvent))
            }
            false => (list.clone(), view.clone()),
        };
        let compiled = Self {
            list,
            view,
            create: compile("create", &rules.create, Purpose::CreateRule),
            update: compile("update", &rules.update, Purpose::UpdateRule),
            delete: compile("delete", &rules.delete, Purpose::Rule),
            list_of_event,
            view_of_event,
        };
        if faults.is_empty() { Ok(compiled) } else { Err(faults) }
    }
}

/// What fields say must be true of each record.
pub(super) fn validators(collection: &Collection, schema: &Schema) -> Result<Vec<(usize, Compiled)>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut validators = Vec::new();
    for (position, field) in collection.fields.iter().enumerate() {
        let Some(text) = &field.validate else { continue };
        let parsed = expr::parse(text);
        match parsed.and_then(|it| expr::compile_validator(schema, &collection.name, &field.name, &it)) {
            Ok(compiled) => validators.push((position, compiled)),
            Err(error) => faults.push(fault(format!("/fields/{position}/validate"), &error)),
        }
    }
    if faults.is_empty() { Ok(validators) } else { Err(faults) }
}

/// What is wrong with an expression that stands at `pointer`.
pub fn fault(pointer: String, error: &expr::Error) -> Fault {
    let place = error.position.map(|it| format!(" (at character {})", it + 1)).unwrap_or_default();
    Fault::new(pointer, error.code, format!("{error}{place}"))
}
