//! What roles and keys were given for one collection, `records/posts:write`, goes by its name, and follows it to a new
//! one: nobody is to lose what they had, or to get into the next collection of the old name.
use std::collections::{HashMap, HashSet};

use super::history::Happened;
use crate::base::Timestamp;
use crate::db::{self, Tx};
use crate::http::Grant;

/// Where permissions are kept: a table, what its rows are known by, and the column with the list.
const HOLDERS: [(&str, &str, &str); 3] =
    [("roles", "name", "permissions"), ("roles", "name", "own_permissions"), ("api_keys", "id", "scopes")];

/// Gives what was given for the old names to the new ones, all at once: names may be swapped.
pub(super) fn follow(tx: &mut Tx<'_>, happened: &[Happened<'_>], now: Timestamp) -> Result<(), db::Error> {
    let names = happened.iter().filter_map(|it| Some((it.before?.name.as_str(), it.after?.name.as_str())));
    let renamed_now = names.filter(|(old, new)| old != new).map(|(old, new)| (old.to_lowercase(), new));
    let names: HashMap<String, &str> = renamed_now.collect();
    if names.is_empty() {
        return Ok(());
    }
    for (table, id, list) in HOLDERS {
        let sql = format!("SELECT {id}, {list} FROM {table} WHERE {list} LIKE '%\"records/%'");
        let held = tx.query(&sql, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))?;
        for (holder, granted) in held {
            let Some(granted) = renamed(&granted, &names) else { continue };
            let sql = format!("UPDATE {table} SET {list} = $2, version = version + 1, updated_at = $3 WHERE {id} = $1");
            tx.execute(&sql, &[holder.into(), granted.into(), now.into()])?;
        }
    }
    Ok(())
}

/// A list of permissions in the new names; nothing if there is none of the old ones in it.
fn renamed(granted: &str, names: &HashMap<String, &str>) -> Option<String> {
    let mut granted: Vec<String> = serde_json::from_str(granted).ok()?;
    let mut is_other = false;
    for permission in &mut granted {
        let Ok(grant) = permission.parse::<Grant>() else { continue };
        let Some(name) = grant.collection().and_then(|it| names.get(&it.to_lowercase())) else { continue };
        let new = grant.moved_to(name).to_string();
        is_other |= *permission != new;
        *permission = new;
    }
    let mut seen = HashSet::new();
    granted.retain(|it| seen.insert(it.clone()));
    is_other.then(|| serde_json::Value::from(granted).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_a_renamed_collection_changes_and_names_may_be_swapped() {
        let names = HashMap::from([("a".to_owned(), "b"), ("b".to_owned(), "a")]);
        let renamed = |list: &str| renamed(list, &names);

        let list = r#"["records/a:read","records/B:write","records/ab:read","records:read"]"#;
        let new = r#"["records/b:read","records/a:write","records/ab:read","records:read"]"#;
        assert_eq!(renamed(list).as_deref(), Some(new));
        assert_eq!(renamed(r#"["records/c:read","*"]"#), None);
        assert_eq!(super::renamed(r#"["records/A:read"]"#, &HashMap::from([("a".to_owned(), "A")])), None);
        assert_eq!(renamed("no list"), None);
    }
}
