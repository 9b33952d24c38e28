//! What expressions may talk about.
use std::collections::HashMap;

use super::parse::Expression;

/// What the values of a field are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Number,
    Bool,
    /// Milliseconds since 1970.
    Moment,
    /// Texts, kept as a JSON array.
    List,
    Json,
    /// A place as one number.
    Place,
    /// The id of a record of that table.
    Reference(String),
    /// The ids of records of that table, one an entry of the table `join`: `owner`, `target` and `position`.
    References {
        target: String,
        join: String,
    },
}

impl Kind {
    /// The table that it refers to.
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Reference(target) | Self::References { target, .. } => Some(target),
            _ => None,
        }
    }
}

/// One field of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, which is also that of its column.
    pub name: String,
    pub kind: Kind,
    /// Whether clients are told that it is not there.
    pub hidden: bool,
}

/// Which records of a table a client's expression may reach by a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    Nobody,
    Anyone,
    When(Expression),
}

/// A table, by whatever name people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The name that people use.
    pub name: String,
    /// The name in SQL, not quoted.
    pub sql_name: String,
    pub fields: Vec<Field>,
    pub view: View,
    /// Whether nobody writes its rows. Nothing leads there, so that no rule has to compute them.
    pub is_computed: bool,
}

/// What is known of callers beside their accounts: for each of them one JSON object, whose members are fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerFields {
    /// The table that the objects are in, not quoted.
    pub sql_name: String,
    /// The column with the id of the account.
    pub owner: String,
    /// The column with the object.
    pub content: String,
    pub fields: Vec<Field>,
}

/// All tables, and what is known of callers.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    tables: HashMap<String, Table>,
    pub(super) caller: CallerFields,
}

impl Schema {
    pub fn new(tables: impl IntoIterator<Item = Table>) -> Self {
        let tables = tables.into_iter().map(|it| (it.name.clone(), it)).collect();
        Self { tables, caller: CallerFields::default() }
    }

    /// The same with callers of whom this is known.
    pub fn with_caller(self, caller: CallerFields) -> Self {
        Self { caller, ..self }
    }

    /// The same with only those fields in sight of which `sees` is true.
    pub fn seen_by(&self, sees: &dyn Fn(&Table, &Field) -> bool) -> Self {
        let seen = |table: &Table| {
            let fields = table.fields.iter().map(|it| Field { hidden: !sees(table, it), ..it.clone() }).collect();
            Table { fields, ..table.clone() }
        };
        self.with(seen)
    }

    /// The same with records in sight as `view` says of some tables.
    pub fn viewed_by(&self, view: &dyn Fn(&Table) -> Option<View>) -> Self {
        let viewed = |table: &Table| Table { view: view(table).unwrap_or_else(|| table.view.clone()), ..table.clone() };
        self.with(viewed)
    }

    /// The same with every record in sight.
    pub fn opened(&self) -> Self {
        let open = |table: &Table| Table { view: View::Anyone, ..table.clone() };
        self.with(open)
    }

    /// The same with other tables in the places of these.
    fn with(&self, other: impl Fn(&Table) -> Table) -> Self {
        let tables = self.tables.iter().map(|(name, table)| (name.clone(), other(table))).collect();
        Self { tables, caller: self.caller.clone() }
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// The table and field behind `comments_via_post`: those who refer to a table by one of their fields.
    pub(super) fn back_relation(&self, target: &str, name: &str) -> Option<(&Table, &Field)> {
        let (table, field) = name.split_once("_via_")?;
        let table = self.table(table).filter(|it| !it.is_computed)?;
        let field = table.field(field)?;
        (field.kind.target() == Some(target)).then_some((table, field))
    }
}

impl Table {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|it| it.name == name)
    }
}
