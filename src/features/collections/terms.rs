//! On what terms the endpoints of collections answer, beside what their signatures say.
use super::error::{DATA_IN_THE_WAY, DATA_LOSS, IN_USE, NAME_TAKEN, TOO_MANY};
use super::model::{COLLECTIONS_READ, COLLECTIONS_WRITE};
use crate::http::openapi::{Terms, Who};

const READERS: Who = Who::Holders(COLLECTIONS_READ);
const WRITERS: Who = Who::Holders(COLLECTIONS_WRITE);

// Where neither body nor parameter may be wrong, a parameter that there is none of still is.
pub const TERMS: &[Terms] = &[
    Terms { operation: "create_collection", who: WRITERS, problems: &[&NAME_TAKEN, &TOO_MANY] },
    Terms { operation: "list_collections", who: READERS, problems: &[] },
    Terms { operation: "show_collection", who: READERS, problems: &[] },
    Terms { operation: "update_collection", who: WRITERS, problems: &[&NAME_TAKEN, &IN_USE, &DATA_IN_THE_WAY] },
    Terms { operation: "preview_collection", who: WRITERS, problems: &[&NAME_TAKEN, &IN_USE] },
    Terms { operation: "delete_collection", who: WRITERS, problems: &[&IN_USE] },
    Terms { operation: "export_collections", who: READERS, problems: &[] },
    Terms {
        operation: "import_collections",
        who: WRITERS,
        problems: &[&IN_USE, &NAME_TAKEN, &DATA_IN_THE_WAY, &DATA_LOSS, &TOO_MANY],
    },
    Terms { operation: "list_schema_changes", who: READERS, problems: &[] },
    Terms { operation: "show_schema_change", who: READERS, problems: &[] },
];
