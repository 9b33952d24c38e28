//! What a task of the writer may do: rows in a group, rows and the schema by itself, and nothing to the transaction.
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Where the connection is: what the authorizer allows depends on it.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Scope {
    /// The writer's own statements.
    Outside,
    /// A task in a group: rows only.
    Group,
    /// A task by itself: rows and schema.
    Alone,
}

/// Which statements a task may prepare. Asked when a statement is prepared, not when it runs.
pub(super) fn authorize(scope: u8, context: &AuthContext<'_>) -> Authorization {
    if scope == Scope::Outside as u8 {
        return Authorization::Allow;
    }
    match context.action {
        // Full-text search reads this one for itself.
        AuthAction::Pragma { pragma_name: "data_version", .. } => Authorization::Allow,
        // A column added to a strict table checks for itself that the rows fit.
        AuthAction::Pragma { pragma_name: "quick_check", .. } if scope == Scope::Alone as u8 => Authorization::Allow,
        AuthAction::Pragma { .. }
        | AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. }
        // A temporary table hides the real one of its name from every later task.
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. } => Authorization::Deny,
        AuthAction::CreateIndex { .. }
        | AuthAction::CreateTable { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::CreateVtable { .. }
        | AuthAction::DropIndex { .. }
        | AuthAction::DropTable { .. }
        | AuthAction::DropTrigger { .. }
        | AuthAction::DropView { .. }
        | AuthAction::DropVtable { .. }
        | AuthAction::AlterTable { .. }
        | AuthAction::Reindex { .. }
        | AuthAction::Analyze { .. }
            if scope == Scope::Group as u8 =>
        {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    }
}
