use serde::{Deserialize, Serialize};

use super::Faults;
use crate::base::Secret;

/// `[setup]`: the admin that is made at the first start.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SetupConfig {
    pub admin_email: String,
    pub admin_password: Secret<String>,
}

impl SetupConfig {
    pub(super) fn check(&self) -> Faults {
        match (self.admin_email.is_empty(), self.admin_password.reveal().is_empty()) {
            (true, false) => vec![("admin_email", "is needed beside `admin_password`".to_owned())],
            (false, true) => vec![("admin_password", "is needed beside `admin_email`".to_owned())],
            _ => Faults::new(),
        }
    }
}
