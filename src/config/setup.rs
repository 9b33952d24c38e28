use serde::{Deserialize, Serialize};

use super::Faults;
use super::complaint::quoted;
use crate::base::Secret;
use crate::base::text::normalize_email;

/// `[setup]`: the admin that is made at the first start.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SetupConfig {
    pub admin_email: String,
    pub admin_password: Secret<String>,
}

impl SetupConfig {
    /// Whether the password will do is found out when there is no admin yet. But who has to mend the address anyway is told
    /// at once of a password that is too short.
    pub(super) fn check(&self, password_length_min: u32) -> Faults {
        let mut faults = match (self.admin_email.is_empty(), self.admin_password.reveal().is_empty()) {
            (true, false) => vec![("admin_email", "is needed beside `admin_password`".to_owned())],
            (false, true) => vec![("admin_password", "is needed beside `admin_email`".to_owned())],
            _ => Faults::new(),
        };
        if !self.admin_email.is_empty()
            && let Err(why) = normalize_email(&self.admin_email)
        {
            faults.push(("admin_email", format!("{why}, got {}", quoted(&self.admin_email))));
            let length = self.admin_password.reveal().chars().count();
            if 0 < length && length < password_length_min as usize {
                let words = format!("must be at least {password_length_min} characters long");
                faults.push(("admin_password", words));
            }
        }
        faults
    }
}
