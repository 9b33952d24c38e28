//! What has to be done to the tables so that a collection becomes what it shall be.
use super::catalogue::{join_table, table, target_table};
use super::indexes::{IndexSpec, indexes};
use super::model::{Change, Collection, Field, FieldType, OnDelete};
use super::several;
use super::value::{Judge, Stored};
use super::view_plan;
use crate::db::join_tables::Join;
use crate::db::record_tables::{self, Column, ColumnType, Literal, Reference};
use crate::db::search_tables::Content;
use crate::http::Fault;

/// Where values stand while their column is made anew. No field can have this name.
pub(super) const PASSING: &str = "_passing";

/// What is said of a change that is no other: exports and files show fields in their order.
pub(super) const OTHER_ORDER: &str = "put fields and indexes into another order";

/// One step, with the words for whoever asks what would happen.
#[derive(Debug)]
pub(super) struct Step {
    pub change: Change,
    deed: Deed,
}

impl Step {
    /// One that is done by remembering what the collection says.
    pub fn note(description: String) -> Self {
        step(description, false, Deed::Note)
    }
}

#[derive(Debug)]
pub(super) enum Deed {
    CreateTable(Vec<Column>),
    DropTable,
    RenameTable {
        to: String,
    },
    AddColumn(Column),
    /// The same values in a column of another type, or with another reference.
    RemakeColumn(Column),
    DropColumn(String),
    RenameColumn {
        from: String,
        to: String,
    },
    /// The words of these columns, from now on.
    CreateSearch(Vec<(String, Content)>),
    DropSearch,
    /// The table of the entries of a relation to several records.
    CreateJoin(Join),
    /// The same entries with another idea of what becomes of their owners.
    RemakeJoin(Join),
    DropJoin(String),
    RenameJoin {
        from: String,
        to: Join,
    },
    CreateIndex(IndexSpec),
    DropIndex(IndexSpec),
    /// No record may have null there.
    RefuseNulls {
        field: String,
    },
    /// No record may have a value there that the field, as it shall be, does not take.
    RefuseUnfit(Box<Field>),
    /// Every value as the field keeps it: addresses have one form.
    Normalize(Box<Field>),
    /// No record may have a whole number there that a fraction cannot hold.
    RefuseInexact {
        field: String,
    },
    /// No record may have more than one there; its entries are in a table of their own if it is a relation.
    RefuseSeveral {
        field: String,
        join: Option<String>,
    },
    /// Lists of one instead of single values; in a table of its own if it is a relation.
    BecomeSeveral {
        column: String,
        join: Option<Join>,
    },
    /// Single values instead of lists, which have one item at most; in a new column if it is a relation.
    BecomeOne {
        field: String,
        column: Option<Column>,
        join: Option<String>,
    },
    /// What finds the records in the bin.
    CreateBin,
    DropBin,
    /// Deletes for good what is in the bin.
    EmptyBin,
    /// What is written from now on must be as the field says; what is there stays.
    Expect(Box<Field>),
    /// Only what the catalogue says changes.
    Note,
}

impl Step {
    pub fn deed(&self) -> &Deed {
        &self.deed
    }
}

/// The steps that make a new collection.
pub(super) fn create(new: &Collection, judges: &[Judge]) -> Vec<Step> {
    if new.view.is_some() {
        return view_plan::create(new);
    }
    let own = judges.iter().filter(|it| !it.field.refers_to_many()).map(|it| column(it, false));
    let of_bin = record_tables::columns_of_bin().into_iter().filter(|_| new.keeps_deleted());
    let columns = of_bin.chain(own).collect();
    let what = format!("make the collection `{}` with {}", new.name, fields_of(new));
    let mut steps = vec![step(what, false, Deed::CreateTable(columns))];
    for field in new.fields.iter().filter(|it| it.refers_to_many()) {
        let what = format!("make the table of what `{}` refers to", field.name);
        steps.push(step(what, false, Deed::CreateJoin(join(new, field))));
    }
    if new.keeps_deleted() {
        steps.push(step("make a bin for records that are deleted".to_owned(), false, Deed::CreateBin));
    }
    steps.extend(indexes(new).into_iter().map(create_index));
    steps.extend(create_search(new));
    steps
}

/// How many fields there are, in words.
pub(super) fn fields_of(collection: &Collection) -> String {
    match collection.fields.len() {
        1 => "1 field".to_owned(),
        count => format!("{count} fields"),
    }
}

/// The steps that remove a collection.
pub(super) fn drop(old: &Collection) -> Vec<Step> {
    if old.view.is_some() {
        return view_plan::drop(old);
    }
    let dropped = step(format!("drop the collection `{}` with all its records", old.name), true, Deed::DropTable);
    drop_search(old).into_iter().chain([dropped]).collect()
}

/// The steps from one form of a collection to another, or what cannot be done.
pub(super) fn change(old: &Collection, new: &Collection, judges: &[Judge]) -> Result<Vec<Step>, Vec<Fault>> {
    if new.view.is_some() {
        return Ok(view_plan::change(old, new));
    }
    let mut faults = Vec::new();
    let (mut steps, mut renames) = (Vec::new(), Vec::new());
    let (had, shall_have) = (indexes(old), indexes(new));
    // An index follows its column to another name, and holds on to one that goes: neither must be.
    let (kept, dropped): (Vec<_>, Vec<_>) = had
        .into_iter()
        .partition(|it| shall_have.contains(it) && !it.columns.iter().any(|it| is_touched(it, old, new)));
    steps.extend(dropped.into_iter().map(drop_index));
    let is_searched_anew = is_searched_anew(old, new);
    steps.extend(drop_search(old).filter(|_| is_searched_anew));
    for field in old.fields.iter().filter(|old| !new.fields.iter().any(|it| was(it) == old.name)) {
        let what = format!("drop the field `{}` with its values", field.name);
        steps.push(step(
            what,
            true,
            if field.refers_to_many() {
                Deed::DropJoin(join_table(old.id, &field.name))
            } else {
                Deed::DropColumn(field.name.clone())
            },
        ));
    }
    let mut rest = Vec::new();
    for (index, judge) in judges.iter().enumerate() {
        let field = &judge.field;
        if judges[..index].iter().any(|it| was(&it.field) == was(field)) {
            let detail = "is there twice: in one change a field is kept or renamed, not both";
            faults.push(Fault::new(format!("/fields/{index}"), "conflict", detail));
            continue;
        }
        let Some(before) = old.fields.iter().find(|it| it.name == was(field)) else {
            if field.renamed_from.is_some() {
                faults.push(Fault::new(
                    format!("/fields/{index}/renamedFrom"),
                    "unknown",
                    "is no field of the collection",
                ));
            } else {
                let deed = if field.refers_to_many() {
                    Deed::CreateJoin(join(new, field))
                } else {
                    Deed::AddColumn(column(judge, true))
                };
                rest.push(step(format!("add the field `{}`", field.name), false, deed));
                rest.extend(refusals(None, field));
            }
            continue;
        };
        if several::is_turned(before, field) {
            match several::steps(before, judge, old, new) {
                Ok(turned) => rest.extend(turned),
                Err(reason) => faults.push(Fault::new(format!("/fields/{index}/multiple"), "type-change", reason)),
            }
            rest.extend(refusals(Some(before), field));
            continue;
        }
        if before.name != field.name {
            renames.push((before.name.clone(), field));
        }
        match retype(before, field) {
            Err(reason) => faults.push(Fault::new(format!("/fields/{index}/type"), "type-change", reason)),
            Ok(true) => {
                if before.field_type == FieldType::Integer {
                    let what = format!("look whether every `{}` can be a fraction", field.name);
                    rest.push(step(what, false, Deed::RefuseInexact { field: field.name.clone() }));
                }
                let what = format!("write the values of `{}` anew", field.name);
                let deed = if field.refers_to_many() {
                    Deed::RemakeJoin(join(new, field))
                } else {
                    Deed::RemakeColumn(column(judge, false))
                };
                rest.push(step(what, false, deed));
            }
            Ok(false) => {}
        }
        let same = Field { name: before.name.clone(), renamed_from: None, ..field.clone() };
        if same != *before {
            rest.push(step(format!("change what `{}` takes", field.name), false, Deed::Note));
            rest.extend(refusals(Some(before), field));
        }
    }
    steps.extend(renamed(renames, old, new));
    steps.extend(rest);
    steps.extend(shall_have.into_iter().filter(|it| !kept.contains(it)).map(create_index));
    steps.extend(bin(old, new));
    if old.options.audit != new.options.audit {
        let what = if new.options.audit { "have the audit trail tell" } else { "have the audit trail not tell" };
        steps.push(note(format!("{what} of each record that is written")));
    }
    if old.options.presence != new.options.presence {
        let what = if new.options.presence { "let those who listen see" } else { "have those who listen no more see" };
        steps.push(note(format!("{what} who else does")));
    }
    if is_searched_anew {
        steps.extend(create_search(new));
    } else if old.search != new.search {
        steps.push(step("change the weights of search".to_owned(), false, Deed::Note));
    }
    steps.extend(rules(old, new));
    if old.name != new.name {
        let deed = Deed::RenameTable { to: table(&new.name) };
        steps.push(step(format!("rename the collection `{}` to `{}`", old.name, new.name), false, deed));
    }
    if faults.is_empty() { Ok(steps) } else { Err(faults) }
}

/// The steps from some rules to others.
pub(super) fn rules(old: &Collection, new: &Collection) -> impl Iterator<Item = Step> {
    let changed =
        old.rules.each().into_iter().zip(new.rules.each()).filter(|((_, before), (_, after))| before != after);
    let names: Vec<_> = changed.map(|((name, _), _)| name).collect();
    names.into_iter().map(|name| step(format!("change the rule `{name}`"), false, Deed::Note))
}

/// The steps to having a bin, or to having none.
fn bin(old: &Collection, new: &Collection) -> Vec<Step> {
    let [is_deleted, deleted_at] = record_tables::columns_of_bin();
    match (old.keeps_deleted(), new.keeps_deleted()) {
        (false, true) => vec![
            step("keep records that are deleted in a bin".to_owned(), false, Deed::AddColumn(is_deleted)),
            step("remember when they were deleted".to_owned(), false, Deed::AddColumn(deleted_at)),
            step("make the bin".to_owned(), false, Deed::CreateBin),
        ],
        (true, false) => vec![
            step("purge the records in the bin".to_owned(), true, Deed::EmptyBin),
            step("drop the bin".to_owned(), false, Deed::DropBin),
            step("forget when records were deleted".to_owned(), false, Deed::DropColumn(deleted_at.name)),
            step("delete records for good from now on".to_owned(), false, Deed::DropColumn(is_deleted.name)),
        ],
        _ if old.options.purge_after_days != new.options.purge_after_days => {
            vec![step("change when records in the bin are purged".to_owned(), false, Deed::Note)]
        }
        _ => Vec::new(),
    }
}

/// A step that only the catalogue notices.
pub(super) fn note(description: String) -> Step {
    step(description, false, Deed::Note)
}

/// The name that a field had.
pub(super) fn was(field: &Field) -> &str {
    field.renamed_from.as_deref().unwrap_or(&field.name)
}

/// Whether the column of that name is dropped, renamed or made anew on the way.
fn is_touched(name: &str, old: &Collection, new: &Collection) -> bool {
    let Some(before) = old.fields.iter().find(|it| it.name == name) else { return false };
    let after = new.fields.iter().find(|it| was(it) == name);
    after.is_none_or(|after| after.name != name || retype(before, after) == Ok(true))
}

/// Renames columns, by way of passing names where one takes the name that another still has.
fn renamed(renames: Vec<(String, &Field)>, old: &Collection, new: &Collection) -> Vec<Step> {
    let is_had = |name: &str| old.fields.iter().any(|it| it.name.eq_ignore_ascii_case(name));
    let by_the_way = renames.iter().any(|(_, to)| is_had(&to.name));
    let deed = |from: &str, to: &str, field: &Field| {
        if field.refers_to_many() {
            let named = Join { name: join_table(old.id, to), ..join(new, field) };
            Deed::RenameJoin { from: join_table(old.id, from), to: named }
        } else {
            Deed::RenameColumn { from: from.to_owned(), to: to.to_owned() }
        }
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (number, (from, field)) in renames.into_iter().enumerate() {
        let to = &field.name;
        let what = format!("rename the field `{from}` to `{to}`");
        if by_the_way {
            let passing = format!("{PASSING}_{number}");
            let words = format!("free the name `{from}`");
            first.push(step(words, false, deed(&from, &passing, field)));
            second.push(step(what, false, deed(&passing, to, field)));
        } else {
            second.push(step(what, false, deed(&from, to, field)));
        }
    }
    first.into_iter().chain(second).collect()
}

/// The table of the entries of a relation to several records.
pub(super) fn join(collection: &Collection, field: &Field) -> Join {
    Join {
        name: join_table(collection.id, &field.name),
        owner: table(&collection.name),
        target: reference(field.collection.as_deref().unwrap_or_default(), field.on_delete),
    }
}

/// Whether more is written by it than a few rows of ours.
pub(super) fn needs_room(steps: &[Step]) -> bool {
    !steps
        .iter()
        .all(|it| matches!(it.deed, Deed::Note | Deed::Expect(_) | Deed::DropIndex(_) | Deed::RefuseNulls { .. }))
}

/// What records must not have after a field was tightened.
fn refusals(before: Option<&Field>, field: &Field) -> Vec<Step> {
    let mut steps = Vec::new();
    if field.required && field.refers_to_many() && before.is_none_or(|it| !it.required) {
        let deed = Deed::RefuseUnfit(Box::new(field.clone()));
        steps.push(step(format!("look whether every record refers to something by `{}`", field.name), false, deed));
    } else if field.required && before.is_none_or(|it| !it.required) {
        let deed = Deed::RefuseNulls { field: field.name.clone() };
        steps.push(step(format!("look whether every record has a value for `{}`", field.name), false, deed));
    }
    if before.is_some_and(|it| takes_less(it, field)) {
        let deed = Deed::RefuseUnfit(Box::new(Field { default: None, required: false, ..field.clone() }));
        steps.push(step(format!("look whether every `{}` still fits", field.name), false, deed));
    }
    if let Some(condition) = field.validate.as_ref().filter(|_| before.is_none_or(|it| it.validate != field.validate)) {
        let what = format!("ask for `{}`, in all that is written from now on, that `{condition}`", field.name);
        steps.push(step(what, false, Deed::Expect(Box::new(field.clone()))));
    }
    if field.field_type == FieldType::Email && before.is_some_and(|it| it.field_type != FieldType::Email) {
        let deed = Deed::Normalize(Box::new(Field { default: None, required: false, ..field.clone() }));
        steps.push(step(format!("bring every `{}` to one form", field.name), false, deed));
    }
    steps
}

/// Whether a field may refuse what it took before.
fn takes_less(before: &Field, after: &Field) -> bool {
    let drops_values = before.values.iter().flatten().any(|it| !after.values.iter().flatten().any(|kept| kept == it));
    // Any text is a text, and whole numbers are looked at for themselves.
    let is_wider = matches!(after.field_type, FieldType::Text | FieldType::Number);
    let limits = |it: &Field| (it.least().map(f64::to_bits), it.most().map(f64::to_bits), it.pattern.clone());
    let has_limits = limits(after) != (None, None, None);
    (before.field_type != after.field_type && !is_wider)
        || (has_limits && limits(before) != limits(after))
        || (drops_values && after.field_type == FieldType::Select)
}

/// Whether the column of a field has to be made anew; an error if its values cannot become the new type's.
fn retype(before: &Field, after: &Field) -> Result<bool, String> {
    use FieldType::{Autodate, Datetime, Email, Integer, Number, Relation, Select, Text, Url};
    if several::is_turned(before, after) {
        return Ok(true);
    }
    let is_text = |it: &Field| matches!(it.field_type, Text | Email | Url | Select) && !it.is_multiple();
    if before.field_type == Relation && after.field_type == Relation {
        if before.collection != after.collection {
            return Err("a relation cannot refer to another collection; add a new field instead".to_owned());
        }
        return Ok(before.on_delete.unwrap_or(OnDelete::Restrict) != after.on_delete.unwrap_or(OnDelete::Restrict));
    }
    match (before.field_type, after.field_type) {
        (Integer, Number) => Ok(true),
        (Datetime, Autodate) | (Autodate, Datetime) => Ok(false),
        (a, b) if a == b || (is_text(before) && is_text(after)) => Ok(false),
        _ => Err("the values that are there cannot become this type; add a new field instead".to_owned()),
    }
}

/// The column of a field; with its default only where there are rows that need one.
pub(super) fn column(judge: &Judge, with_default: bool) -> Column {
    let field = &judge.field;
    let column_type = match field.field_type {
        FieldType::Integer | FieldType::Bool | FieldType::Datetime | FieldType::Autodate | FieldType::Geo => {
            ColumnType::BigInt
        }
        FieldType::Number => ColumnType::Double,
        _ => ColumnType::Text,
    };
    let reference = field.collection.as_deref().map(|target| reference(target, field.on_delete));
    let default = match &judge.default {
        _ if !with_default => None,
        Stored::Null => None,
        Stored::Integer(number) => Some(Literal::Integer(*number)),
        Stored::Real(number) => Some(Literal::Real(*number)),
        Stored::Text(text) => Some(Literal::Text(text.clone())),
    };
    Column { name: field.name.clone(), column_type, reference, default }
}

fn reference(target: &str, on_delete: Option<OnDelete>) -> Reference {
    Reference {
        table: target_table(target),
        on_delete: match on_delete {
            None | Some(OnDelete::Restrict) => record_tables::OnDelete::Restrict,
            Some(OnDelete::Cascade) => record_tables::OnDelete::Cascade,
            Some(OnDelete::SetNull) => record_tables::OnDelete::SetNull,
        },
    }
}

/// Whether the index of words has to be made anew: its columns are in the order of the names of the fields.
fn is_searched_anew(old: &Collection, new: &Collection) -> bool {
    let columns = |it: &Collection| searched(it).collect::<Vec<_>>();
    let is_another = |name: &String| {
        let field = new.fields.iter().find(|it| it.name == *name);
        field.is_some_and(|field| was(field) != name || !old.fields.iter().any(|it| it.name == *name))
    };
    columns(old) != columns(new) || new.search.keys().any(is_another)
}

/// The columns that are searched, in the order of their names.
fn searched(collection: &Collection) -> impl Iterator<Item = (String, Content)> {
    let field = |name: &String| collection.fields.iter().find(|it| it.name == *name);
    collection.search.keys().filter_map(move |name| Some((name.clone(), field(name)?.content())))
}

fn create_search(new: &Collection) -> Option<Step> {
    let columns: Vec<_> = searched(new).collect();
    let names: Vec<_> = columns.iter().map(|(name, _)| format!("`{name}`")).collect();
    let what = format!("index the words of {} in all records, for search", names.join(", "));
    (!columns.is_empty()).then(|| step(what, false, Deed::CreateSearch(columns)))
}

fn drop_search(old: &Collection) -> Option<Step> {
    let what = "drop the index of words that search has".to_owned();
    (!old.search.is_empty()).then(|| step(what, false, Deed::DropSearch))
}

fn create_index(spec: IndexSpec) -> Step {
    step(format!("make the {}", spec.words()), false, Deed::CreateIndex(spec))
}

fn drop_index(spec: IndexSpec) -> Step {
    step(format!("drop the {}", spec.words()), false, Deed::DropIndex(spec))
}

pub(super) fn step(description: String, loses_data: bool, deed: Deed) -> Step {
    Step { change: Change::new(description, loses_data), deed }
}
