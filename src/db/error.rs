//! What can go wrong between a closure and the disk.

/// Why the database did not do what a closure asked.
///
/// The words are for logs. What a client is told is decided in `http/problem.rs`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More requests wait than the queue holds. Nothing was done.
    #[error("the database's queue is full")]
    QueueFull,
    /// The disk has no room, or less than is kept free. Nothing was written.
    #[error("the disk is full")]
    StorageFull,
    /// The closure or statement took more time or steps than it may. Nothing was written.
    #[error("the query took more than its budget")]
    BudgetSpent,
    /// The closure or statement made a value larger than any may be. Nothing was written.
    #[error("a value became larger than it may")]
    TooLarge,
    /// A named constraint refused the change: `users.email`, or a CHECK's name.
    #[error("constraint `{constraint}` refused the change")]
    Conflict { constraint: String },
    /// Rows refer to rows that refer to rows, further than one statement goes. Nothing was written.
    #[error("the rows hang together too deeply")]
    TooDeep,
    /// The closure panicked; its own changes were undone.
    #[error("the closure panicked: {message}")]
    Panicked { message: String },
    /// A statement of the closure ended the transaction of its whole group. Nothing of it was written.
    #[error("a statement ended the transaction")]
    EndedTransaction,
    /// The file holds what SQLite never wrote. It is read as far as it goes, and not written any more.
    #[error("the database file is damaged")]
    Damaged,
    /// A file that was there is gone or empty. Nothing was made in its place.
    #[error("{} is missing or empty, and there was data in it: restore it from a backup, or look for a disk that is not \
             mounted", file.display())]
    Missing { file: std::path::PathBuf },
    /// A file is there and cannot be used; its path is for whoever can do something about it.
    #[error("cannot open {}", file.display())]
    Opening {
        file: std::path::PathBuf,
        #[source]
        cause: Box<Self>,
    },
    /// The file was written by a later version of Steading.
    #[error("the database has schema {found}, and this version knows only {known}")]
    Newer { found: i64, known: i64 },
    /// A migration that this file has had differs from the one this version carries.
    #[error("migration {number} was not the one that this version carries")]
    MigrationChanged { number: i64 },
    #[error("there is no tenant `{tenant}`")]
    NoTenant { tenant: String },
    /// All places for open tenants are taken by tenants in use.
    #[error("too many tenants are open")]
    TooManyTenants,
    /// Another process has the data folder.
    #[error("another Steading uses the folder {folder}; stop it first")]
    InUse { folder: String },
    /// The server is stopping.
    #[error("the database is closed")]
    Closed,
    /// A file or folder could not be reached.
    #[error("cannot reach {what}")]
    Io {
        what: String,
        #[source]
        cause: std::io::Error,
    },
    /// A row did not have the shape that its reader expects.
    #[error("column {column} is not {expected}")]
    Column { column: usize, expected: &'static str },
    /// Anything else that the engine says; its own words are the source.
    #[error("the database refused a statement")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Names the file, if it is about what is in there.
    pub(super) fn about(self, file: Option<&std::path::Path>) -> Self {
        match (self, file) {
            (
                cause @ (Self::Damaged | Self::Newer { .. } | Self::MigrationChanged { .. } | Self::Engine(_)),
                Some(file),
            ) => Self::Opening { file: file.to_owned(), cause: Box::new(cause) },
            (other, _) => other,
        }
    }
}
