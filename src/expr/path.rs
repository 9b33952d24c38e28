//! Names: fields of the record, what relations lead to, and what is known of the request.
use cel::IdedExpr;
use cel::common::ast::Expr;

use super::bind::Bind;
use super::compile::{Compiler, Purpose, ROOT};
use super::error::Error;
use super::operand::{Operand, Type};
use super::schema::{CallerFields, Field, Kind, Table};
use crate::base::text::nearest;
use crate::db::record_tables::quoted;
use crate::db::{dialect, join_tables};

/// What names mean at one place.
pub(super) struct Scope<'a> {
    /// The variable of `exists`; nothing for the record itself, whose fields stand alone.
    pub variable: Option<String>,
    /// The name of the table in the statement.
    pub alias: String,
    pub table: &'a Table,
}

/// One step along a relation.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    /// The column that holds the id.
    source: String,
    /// The table that is stepped to, quoted.
    table: String,
    alias: String,
    /// What else must be true of the record there, with ` AND ` before it.
    viewed: String,
}

/// What a record refers to by a relation to several.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// Their table.
    join: String,
    /// The id of the record.
    owner: String,
}

/// Where a path leads, before its last name is looked at.
struct Walked<'a, 'n> {
    hops: Vec<Hop>,
    alias: String,
    table: &'a Table,
    rest: Vec<&'n str>,
}

impl<'a> Compiler<'a> {
    /// What a name stands for.
    pub(super) fn path(&mut self, node: &IdedExpr) -> Result<Operand, Error> {
        let names = names(node)?;
        let operand = match names.as_slice() {
            ["auth" | "request", ..] if self.purpose == Purpose::Validator && self.is_free(names[0]) => {
                return Err(Error::not_supported("what must be true of a record does not depend on who writes it"));
            }
            ["now"] => self.now(0),
            ["auth", rest @ ..] if self.is_free("auth") => self.of_caller(rest)?,
            ["request", rest @ ..] if self.is_free("request") => self.of_request(rest)?,
            names => self.of_record(names)?,
        };
        Ok(Operand { name: Some(names.join(".")), ..operand })
    }

    /// The records behind `comments_via_post` or behind a relation to several, as `alias` in the statement: their
    /// table, and what stands after FROM, with a condition at its end.
    pub(super) fn several(&mut self, node: &IdedExpr, alias: &str) -> Result<(&'a Table, String), Error> {
        let only = || Error::not_supported("`exists` is asked of a relation to several records, or of one backwards");
        let names = names(node).map_err(|_| only())?;
        let names = self.meant(names);
        let (last, before) = names.split_last().ok_or_else(|| Error::malformed("a name is missing"))?;
        let mut walked = self.start(before)?;
        while let Some(name) = walked.rest.first().copied() {
            self.hop(&mut walked, name)?;
        }
        if walked.table.field(last).is_some() || !last.contains("_via_") {
            return self.forwards(&walked, last, alias);
        }
        let is_clients = self.is_clients();
        let schema = self.schema;
        let found = schema.back_relation(&walked.table.name, last).filter(|(_, field)| !(is_clients && field.hidden));
        let (table, field) = found.ok_or_else(|| {
            let detail = format!(
                "`{last}` is no relation back to `{}`: these are named `<collection>_via_<field>`",
                walked.table.name
            );
            Error::unknown(detail)
        })?;
        let id = scalar(&walked.hops, format!("{}.id", walked.alias));
        let (name, entry) = (quoted(&table.sql_name), format!("{alias}e"));
        Ok(match &field.kind {
            Kind::References { join, .. } => {
                let join = quoted(join);
                let from = format!("{join} AS {entry} JOIN {name} AS {alias} ON {alias}.id = {entry}.owner");
                (table, format!("{from} WHERE {entry}.target = {id}"))
            }
            _ => (table, format!("{name} AS {alias} WHERE {alias}.{} = {id}", quoted(&field.name))),
        })
    }

    /// The records that a relation to several leads to.
    fn forwards(&self, walked: &Walked<'a, '_>, name: &str, alias: &str) -> Result<(&'a Table, String), Error> {
        let field = self.field(walked.table, name)?;
        let Kind::References { target, join } = &field.kind else {
            return Err(Error::wrong_type(format!("`{name}` does not refer to several records")));
        };
        let schema = self.schema;
        let table = schema.table(target).ok_or_else(|| Error::unknown(format!("there is no collection `{target}`")))?;
        let (target, entry) = (quoted(&table.sql_name), format!("{alias}e"));
        let from = if self.would_be(walked) {
            let items = dialect::items(&format!("{}.{}", walked.alias, quoted(&field.name)), &entry);
            format!("{items} JOIN {target} AS {alias} ON {alias}.id = {entry}.value WHERE 1 = 1")
        } else {
            let owner = scalar(&walked.hops, format!("{}.id", walked.alias));
            let from = format!("{} AS {entry} JOIN {target} AS {alias} ON {alias}.id = {entry}.target", quoted(join));
            format!("{from} WHERE {entry}.owner = {owner}")
        };
        Ok((table, from))
    }

    /// Whether a path ends at the record that is not there yet: its entries stand in a column of their own then.
    fn would_be(&self, walked: &Walked<'_, '_>) -> bool {
        self.purpose.is_of_columns() && walked.alias == ROOT
    }

    /// The list of those that a record refers to, in the words of SQL.
    pub(super) fn entries(&self, alias: &str, field: &Field, join: &str) -> String {
        if self.purpose.is_of_columns() && alias == ROOT {
            format!("{alias}.{}", quoted(&field.name))
        } else {
            join_tables::list(join, &format!("{alias}.id"))
        }
    }

    /// Whether a name is not that of a variable.
    fn is_free(&self, name: &str) -> bool {
        !self.scopes.iter().any(|it| it.variable.as_deref() == Some(name))
    }

    fn of_caller(&mut self, names: &[&str]) -> Result<Operand, Error> {
        let (kind, bind) = match names {
            ["id"] => (Type::Text, Bind::AuthId),
            ["email"] => (Type::Text, Bind::AuthEmail),
            ["role"] => (Type::Text, Bind::AuthRole),
            ["tier"] => (Type::Text, Bind::AuthTier),
            ["verified"] => (Type::Bool, Bind::AuthVerified),
            ["signedIn"] => (Type::Bool, Bind::AuthSignedIn),
            ["fields", name] => return self.of_profile(name),
            ["fields", ..] => return Err(Error::not_supported("a field of a profile is named `auth.fields.<name>`")),
            _ => {
                return Err(Error::unknown(
                    "of `auth` there are `id`, `email`, `role`, `tier`, `verified`, `signedIn` and `fields`",
                ));
            }
        };
        let may_be_null = kind == Type::Text;
        self.asked_of_caller += usize::from(may_be_null);
        let sql = self.bind(bind);
        Ok(Operand { nullable: may_be_null, is_callers: may_be_null, ..Operand::of(kind, sql) })
    }

    /// A field of the caller's profile. It is asked of the database, so that it is what it is at this moment, whoever
    /// remembers the caller for how long.
    fn of_profile(&mut self, name: &str) -> Result<Operand, Error> {
        let CallerFields { sql_name, owner, content, fields } = &self.schema.caller;
        let field = fields.iter().find(|it| it.name == name).ok_or_else(|| {
            Error::unknown(match nearest(name, fields.iter().map(|it| it.name.as_str())) {
                Some(meant) => format!("profiles have no field `{name}`; did you mean `{meant}`?"),
                None => format!("profiles have no field `{name}`"),
            })
        })?;
        let kind = type_of(&field.kind);
        let content = format!("caller.{}", quoted(content));
        let value = match kind {
            Type::Json => {
                return Err(Error::not_supported(format!("`auth.fields.{name}` is JSON, which is not asked for")));
            }
            Type::Moment => dialect::millis_of(&dialect::json_value(&content, &[name])),
            _ => dialect::json_value(&content, &[name]),
        };
        self.spent.step()?;
        self.asked_of_caller += 1;
        let id = self.bind(Bind::AuthId);
        let sql = format!("(SELECT {value} FROM {} AS caller WHERE caller.{} = {id})", quoted(sql_name), quoted(owner));
        Ok(Operand { nullable: true, is_callers: true, ..Operand::of(kind, sql) })
    }

    fn of_request(&mut self, names: &[&str]) -> Result<Operand, Error> {
        match names {
            ["method"] => {
                let sql = self.bind(Bind::Method);
                Ok(Operand::of(Type::Text, sql))
            }
            ["ip"] => {
                let sql = self.bind(Bind::Ip);
                Ok(Operand { nullable: true, ..Operand::of(Type::Text, sql) })
            }
            ["body", name] if matches!(self.purpose, Purpose::CreateRule | Purpose::UpdateRule) => {
                let field = self.scopes[0].table.field(name);
                let field = field.ok_or_else(|| self.unknown_field(name, self.scopes[0].table))?;
                let (kind, name) = (type_of(&field.kind), field.name.clone());
                let sql = self.bind(Bind::New(name));
                Ok(Operand { nullable: true, ..Operand::of(kind, sql) })
            }
            ["body", ..] => Err(Error::not_supported("`request.body.<field>` is for create and update rules")),
            _ => Err(Error::unknown("of `request` there are `method`, `ip` and `body`")),
        }
    }

    fn of_record(&mut self, names: &[&str]) -> Result<Operand, Error> {
        let mut walked = self.start(names)?;
        loop {
            let Some((name, further)) = walked.rest.split_first().map(|(name, further)| (*name, further.to_vec()))
            else {
                return Err(Error::wrong_type(format!("`{}` is a record; name one of its fields", names.join("."))));
            };
            let field = self.field(walked.table, name)?;
            let column = format!("{}.{}", walked.alias, quoted(&field.name));
            match &field.kind {
                Kind::Json if !further.is_empty() => {
                    let path = further.iter().map(|it| (*it).to_owned()).collect();
                    let whole = scalar(&walked.hops, column);
                    // Null there, and nothing there, are both null.
                    let sql = dialect::json_value(&whole, &further);
                    let json = Some((whole, path));
                    return Ok(Operand { nullable: true, is_of_row: true, json, ..Operand::of(Type::Json, sql) });
                }
                Kind::Place if further == ["lat"] || further == ["lon"] => {
                    let part = if further == ["lat"] { dialect::latitude } else { dialect::longitude };
                    let sql = part(&scalar(&walked.hops, column));
                    return Ok(Operand { nullable: true, is_of_row: true, ..Operand::of(Type::Number, sql) });
                }
                Kind::Reference(_) if !further.is_empty() => self.hop(&mut walked, name)?,
                Kind::References { .. } if !further.is_empty() => {
                    let detail = format!(
                        "`{name}` refers to several records: ask `{name}.exists(it, it.{} …)`",
                        further.join(".")
                    );
                    return Err(Error::wrong_type(detail));
                }
                Kind::References { join, .. } => {
                    let sql = scalar(&walked.hops, self.entries(&walked.alias, field, join));
                    let owner = format!("{}.id", walked.alias);
                    let entries = (!self.would_be(&walked)).then(|| Entries { join: join.clone(), owner });
                    let nullable = !walked.hops.is_empty();
                    let hops = walked.hops;
                    return Ok(Operand { nullable, is_of_row: true, hops, entries, ..Operand::of(Type::List, sql) });
                }
                _ if !further.is_empty() => {
                    return Err(Error::wrong_type(format!("`{name}` has no parts, so `.{}` is nothing", further[0])));
                }
                kind => {
                    let kind = type_of(kind);
                    let nullable = !walked.hops.is_empty() || !["id", "createdAt", "updatedAt"].contains(&name);
                    let sql = scalar(&walked.hops, column.clone());
                    return Ok(Operand {
                        nullable,
                        is_of_row: true,
                        hops: walked.hops,
                        end: column,
                        ..Operand::of(kind, sql)
                    });
                }
            }
        }
    }

    /// Where a path begins: at a variable, or at the record.
    fn start<'n>(&self, names: &[&'n str]) -> Result<Walked<'a, 'n>, Error>
    where
        'a: 'n,
    {
        let variable =
            names.first().and_then(|name| self.scopes.iter().rev().find(|it| it.variable.as_deref() == Some(*name)));
        let (scope, rest) = match variable {
            Some(scope) => (scope, names[1..].to_vec()),
            None => (&self.scopes[0], names.to_vec()),
        };
        let rest = if variable.is_none() { self.meant(rest) } else { rest };
        Ok(Walked { hops: Vec::new(), alias: scope.alias.clone(), table: scope.table, rest })
    }

    /// The names of a path from the record, with the field that is called `value` by its own name.
    fn meant<'n>(&self, names: Vec<&'n str>) -> Vec<&'n str>
    where
        'a: 'n,
    {
        match (self.value, names.as_slice()) {
            (Some(value), ["value", further @ ..]) if self.is_free("value") => [&[value], further].concat(),
            _ => names,
        }
    }

    /// Steps along one relation.
    fn hop(&mut self, walked: &mut Walked<'a, '_>, name: &str) -> Result<(), Error> {
        let field = self.field(walked.table, name)?;
        let Kind::Reference(target) = &field.kind else {
            return Err(Error::wrong_type(match &field.kind {
                Kind::References { .. } => format!("`{name}` refers to several records: ask `{name}.exists(it, …)`"),
                _ => format!("`{name}` is no relation"),
            }));
        };
        let schema = self.schema;
        let table = schema.table(target).ok_or_else(|| Error::unknown(format!("there is no collection `{target}`")))?;
        let alias = format!("h{}", self.spent.step()?);
        let viewed = self.and_viewed(&table.name, &alias)?;
        let source = format!("{}.{}", walked.alias, quoted(&field.name));
        walked.hops.push(Hop { source, table: quoted(&table.sql_name), alias: alias.clone(), viewed });
        walked.alias = alias;
        walked.table = table;
        walked.rest.remove(0);
        Ok(())
    }

    fn field(&self, table: &'a Table, name: &str) -> Result<&'a Field, Error> {
        let field = table.field(name).filter(|it| !(self.is_clients() && it.hidden));
        field.ok_or_else(|| self.unknown_field(name, table))
    }

    fn unknown_field(&self, name: &str, table: &Table) -> Error {
        let backwards = self.schema.back_relation(&table.name, name);
        if backwards.is_some_and(|(_, field)| !(self.is_clients() && field.hidden)) {
            return Error::not_supported(format!("`{name}` is asked with `{name}.exists(it, …)`, and not counted"));
        }
        let seen = table.fields.iter().filter(|it| !(self.is_clients() && it.hidden)).map(|it| it.name.as_str());
        Error::unknown(match nearest(name, seen) {
            Some(meant) => format!("no field `{name}`; did you mean `{meant}`?"),
            None => format!("no field `{name}`"),
        })
    }

    /// A comparison of two operands that is false when one of them is null.
    ///
    /// Along relations, and with something that is the same for all records, it is asked from the far end: that is
    /// where an index helps.
    pub(super) fn along(&self, left: &Operand, right: &Operand, compare: impl Fn(&str, &str) -> String) -> String {
        if !left.hops.is_empty() && !right.is_of_row {
            return inside(&left.hops, compare(&left.end, &right.sql));
        }
        if !right.hops.is_empty() && !left.is_of_row {
            return inside(&right.hops, compare(&left.sql, &right.end));
        }
        compare(&left.sql, &right.sql)
    }
}

impl Entries {
    /// Whether a value that is the same for all records is among them, asked from the far end.
    pub fn have(&self, hops: &[Hop], item: &str) -> String {
        let Self { join, owner } = self;
        let owners = format!("SELECT entry.owner FROM {} AS entry WHERE entry.target = {item}", quoted(join));
        inside(hops, format!("{owner} IN ({owners})"))
    }

    /// How many there are.
    pub fn count(&self, hops: &[Hop]) -> String {
        scalar(hops, join_tables::count(&self.join, &self.owner))
    }
}

/// A value at the end of relations; null if one of them leads nowhere.
fn scalar(hops: &[Hop], end: String) -> String {
    hops.iter().rev().fold(end, |inner, Hop { source, table, alias, viewed }| {
        format!("(SELECT {inner} FROM {table} AS {alias} WHERE {alias}.id = {source}{viewed})")
    })
}

/// A condition about the end of relations, asked from there.
fn inside(hops: &[Hop], condition: String) -> String {
    hops.iter().rev().fold(condition, |inner, Hop { source, table, alias, viewed }| {
        format!("{source} IN (SELECT {alias}.id FROM {table} AS {alias} WHERE {inner}{viewed})")
    })
}

/// The names of a path, the first one first.
fn names(node: &IdedExpr) -> Result<Vec<&str>, Error> {
    let mut names = Vec::new();
    let mut at = node;
    loop {
        match &at.expr {
            Expr::Ident(name) => {
                // A leading dot means the outermost name in CEL; here there is only one.
                names.push(name.trim_start_matches('.'));
                names.reverse();
                return Ok(names);
            }
            Expr::Select(select) => {
                names.push(select.field.as_str());
                at = &select.operand;
            }
            _ => return Err(Error::not_supported("a dot follows a name")),
        }
    }
}

fn type_of(kind: &Kind) -> Type {
    match kind {
        Kind::Text | Kind::Reference(_) => Type::Text,
        Kind::Integer => Type::Integer,
        Kind::Number => Type::Number,
        Kind::Bool => Type::Bool,
        Kind::Moment => Type::Moment,
        Kind::List | Kind::References { .. } => Type::List,
        Kind::Json => Type::Json,
        Kind::Place => Type::Place,
    }
}
