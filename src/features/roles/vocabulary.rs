//! Every permission that there is, with a sentence for people.
use poem_openapi::Object;
use poem_openapi::types::Example;

use crate::features::audit::AUDIT_READ;
use crate::http::{Fault, Grant, Permission, Permissions};

pub const ROLES_READ: Permission = Permission("roles:read");
pub const ROLES_WRITE: Permission = Permission("roles:write");

/// The permissions, resource by resource, each level after those that it holds. A line is added with the first endpoint
/// that asks for it.
pub const PERMISSIONS: &[(Permission, &str)] = &[
    (Permission("records:read"), "Read records, as far as the rules of their collections let."),
    (Permission("records:write"), "Make, change and delete records, as far as the rules of their collections let."),
    (
        Permission("records:admin"),
        "Read and write all records, whatever the rules; import them, and empty collections.",
    ),
    (Permission("collections:read"), "See the collections with their fields and rules, and how they were changed."),
    (Permission("collections:write"), "Make, change and drop collections."),
    (Permission("users:read"), "See accounts."),
    (
        Permission("users:write"),
        "Make, change and disable accounts, give them roles; see addresses that are blocked, and lift that.",
    ),
    (
        Permission("users:admin"),
        "Delete accounts, restore and purge them, import some, make links with which someone becomes an admin, and measure \
         what passwords may cost.",
    ),
    (ROLES_READ, "See roles, and ask why a caller is let or refused."),
    (ROLES_WRITE, "Make, change and drop roles."),
    (Permission("keys:read"), "See API keys, and what they are used for."),
    (Permission("keys:write"), "Make, change, rotate and revoke API keys."),
    (Permission("secrets:admin"), "Change the master key that secrets of people are encrypted with."),
    (
        Permission("mail:read"),
        "See the words and looks of mails, what they are signed with, and addresses to which nothing is sent.",
    ),
    (
        Permission("mail:write"),
        "Change the looks of mails, send a test, choose to which addresses nothing is sent, and hand in reports about mails.",
    ),
    (
        Permission("mail:admin"),
        "Change the words of mails and read the mailbox, and with both have links that let people in.",
    ),
    (Permission("jobs:read"), "See the work that is done after the requests that asked for it."),
    (Permission("jobs:write"), "Do such work again, or cancel it."),
    (AUDIT_READ, "Read who did what, export it, and verify that nothing of it was changed."),
    (Permission("realtime:read"), "See who listens to changes."),
    (
        Permission("relays:admin"),
        "Run relays: hold the connections of others, and say from which addresses these come.",
    ),
    (
        Permission("system:read"),
        "See how the server is doing, and the keys that sign access tokens, without their secrets.",
    ),
    (Permission("system:admin"), "Replace the keys that sign access tokens."),
];

/// What can be had for one collection alone.
const BY_COLLECTION: &str = "records";

/// A permission, as `GET /admin/permissions` lists it.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct Described {
    /// `<resource>:<read|write|admin>`; `admin` holds `write`, and `write` holds `read`.
    pub name: String,
    pub description: String,
    /// Whether it can be had for one collection too: `records/<collection>:read`.
    pub per_collection: bool,
}

impl Example for Described {
    fn example() -> Self {
        all().swap_remove(0)
    }
}

pub(super) fn all() -> Vec<Described> {
    let described = |(permission, description): &(Permission, &str)| Described {
        name: permission.0.to_owned(),
        description: (*description).to_owned(),
        per_collection: permission.resource() == BY_COLLECTION,
    };
    PERMISSIONS.iter().map(described).collect()
}

/// Reads permissions that somebody sent, and says what is wrong with each that is none.
pub fn read(texts: &[String], pointer: &str) -> Result<Permissions, Vec<Fault>> {
    let mut faults = Vec::new();
    for (index, text) in texts.iter().enumerate().filter(|(_, it)| *it != crate::http::permissions::ALL) {
        let mut fault = |code, detail: String| faults.push(Fault::new(format!("{pointer}/{index}"), code, detail));
        match text.parse::<Grant>() {
            Err(why) => fault("permission", why.to_owned()),
            Ok(grant) => {
                if !PERMISSIONS.iter().any(|(it, _)| it.0 == grant.whole()) {
                    fault("unknown", "is no permission; `GET /api/v1/admin/permissions` lists them".to_owned());
                } else if grant.collection().is_some() && grant.resource() != BY_COLLECTION {
                    fault("permission", format!("only `{BY_COLLECTION}` can be had for one collection"));
                }
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let read = Permissions::read(texts.iter().map(String::as_str));
    read.map_err(|(index, why)| vec![Fault::new(format!("{pointer}/{index}"), "permission", why)])
}
