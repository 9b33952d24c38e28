//! What roles have from each other: a role that inherits from others has their permissions too, and what those inherit.
//!
//! What comes out is kept with each role, so that a request reads one row; it is worked out anew with every change.
use std::collections::{HashMap, HashSet};

use super::error::Error;
use super::model::{Role, RoleName};
use super::store;
use crate::base::Timestamp;
use crate::db::Tx;
use crate::http::{Fault, Permissions};

/// All roles by their names.
struct Family<'a>(HashMap<&'a RoleName, &'a Role>);

impl<'a> Family<'a> {
    fn of(roles: &'a [Role]) -> Self {
        Self(roles.iter().map(|it| (&it.name, it)).collect())
    }

    /// The roles from which one inherits, and those from which these do, each once.
    fn ancestors(&self, inherits: &'a [RoleName]) -> HashSet<&'a RoleName> {
        let mut found = HashSet::new();
        let mut open: Vec<_> = inherits.iter().collect();
        while let Some(name) = open.pop() {
            if found.insert(name) {
                open.extend(self.0.get(name).into_iter().flat_map(|it| &it.inherits));
            }
        }
        found
    }

    fn effective(&self, role: &'a Role) -> Permissions {
        let ancestors = self.ancestors(&role.inherits);
        let inherited = ancestors.into_iter().filter_map(|it| self.0.get(it)).flat_map(|it| &it.permissions);
        store::understood(role.permissions.iter().chain(inherited))
    }

    /// What is wrong with what a role is to inherit from, place by place.
    fn faults(&self, role: &'a Role) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (index, parent) in role.inherits.iter().enumerate() {
            let mut fault = |code, detail| faults.push(Fault::new(format!("/inherits/{index}"), code, detail));
            if !self.0.contains_key(parent) {
                fault("unknown", "is no role; `GET /api/v1/admin/roles` lists them".to_owned());
            } else if self.ancestors(std::slice::from_ref(parent)).contains(&role.name) {
                fault("cycle", format!("would have `{}` inherit from itself", role.name));
            }
        }
        faults
    }
}

/// A role with which people may something else, since one changed from which it inherits.
pub(super) struct Heir {
    pub role: Role,
    /// What it let them try before.
    pub before: Permissions,
}

/// Puts a new or changed role among all others, in the same transaction, and works out what each lets someone try now.
/// Returns it as it is now, and every role with which people may something else.
pub(super) fn settle(tx: &mut Tx<'_>, role: Role, now: Timestamp) -> Result<(Role, Vec<Heir>), Error> {
    let name = role.name.clone();
    let mut roles = store::list(tx)?;
    match roles.iter_mut().find(|it| it.name == name) {
        Some(place) => *place = role,
        None => roles.push(role),
    }
    let family = Family::of(&roles);
    let faults = roles.iter().filter(|it| it.name == name).flat_map(|it| family.faults(it)).collect::<Vec<_>>();
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let effective: Vec<_> = roles.iter().map(|it| family.effective(it)).collect();
    let (mut settled, mut others) = (None, Vec::new());
    for (role, effective) in roles.into_iter().zip(effective) {
        let before = role.granted();
        let is_other = before != effective;
        let role = Role { effective_permissions: effective.names(), ..role };
        if role.name == name {
            let mut inherits = role.inherits;
            inherits.sort_unstable();
            inherits.dedup();
            settled = Some(Role { inherits, ..role });
        } else if is_other {
            others.push(Heir { role: Role { version: role.version + 1, updated_at: now, ..role }, before });
        }
    }
    Ok((settled.ok_or(Error::NotFound)?, others))
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::Example;

    use super::*;

    fn role(name: &str, permissions: &[&str], inherits: &[&str]) -> Role {
        let name_of = |text: &str| text.parse().expect("a name");
        Role {
            name: name_of(name),
            permissions: permissions.iter().map(|it| (*it).to_owned()).collect(),
            inherits: inherits.iter().map(|it| name_of(it)).collect(),
            effective_permissions: Vec::new(),
            ..Role::example()
        }
    }

    fn effective(roles: &[Role], name: &str) -> Vec<String> {
        let role = roles.iter().find(|it| it.name.as_str() == name).expect("a role");
        Family::of(roles).effective(role).names()
    }

    #[test]
    fn a_role_has_what_its_ancestors_have_over_any_number_of_steps_and_once() {
        let roles = [
            role("a", &["records:read"], &[]),
            role("b", &["users:read"], &["a"]),
            role("c", &["records:read", "keys:read"], &["a", "b"]),
            role("all", &["*"], &[]),
            role("d", &[], &["c", "all"]),
        ];

        assert_eq!(effective(&roles, "c"), ["keys:read", "records:read", "users:read"]);
        assert_eq!(effective(&roles, "d"), ["*"]);
    }

    #[test]
    fn a_circle_is_refused_where_it_closes_and_a_diamond_is_none() {
        let told = |roles: &[Role], index: usize| -> Vec<_> {
            Family::of(roles).faults(&roles[index]).into_iter().map(|it| (it.pointer, it.code)).collect()
        };
        let at = |place: &str, code: &str| vec![(place.to_owned(), code.to_owned())];

        let circle = [role("a", &[], &["b"]), role("b", &[], &["c"]), role("c", &[], &["d", "a"]), role("d", &[], &[])];
        assert_eq!(told(&circle, 2), at("/inherits/1", "cycle"));
        assert_eq!(told(&[role("a", &[], &["a"])], 0), at("/inherits/0", "cycle"));
        assert_eq!(told(&[role("a", &[], &["x"])], 0), at("/inherits/0", "unknown"));
        let diamond =
            [role("a", &[], &["b", "c"]), role("b", &[], &["d"]), role("c", &[], &["d"]), role("d", &[], &[])];
        assert_eq!(told(&diamond, 0), []);
    }
}
