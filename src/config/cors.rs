use serde::{Deserialize, Serialize};

use super::{Faults, within};

/// `[cors]`: pages of which origins may call the API from a browser.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    pub origins: Vec<String>,
    pub credentials: bool,
    pub max_age_secs: u64,
    pub preflight_status: u16,
}

impl Default for CorsConfig {
    fn default() -> Self {
        Self { origins: vec!["*".to_owned()], credentials: false, max_age_secs: 600, preflight_status: 200 }
    }
}

impl CorsConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        if self.credentials && self.allows_any() {
            faults.push((
                "credentials",
                "needs exact `origins`: with \"*\" any page could act as its visitors".to_owned(),
            ));
        }
        for origin in self.origins.iter().filter(|it| *it != "*") {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if host.is_none_or(|it| it.is_empty() || it.contains(['/', '*', ' ']) || !it.is_ascii()) {
                faults.push(("origins", format!("\"{origin}\" is not an origin such as \"https://app.example.com\"")));
            }
        }
        within(&mut faults, "max_age_secs", self.max_age_secs, 0..=86_400);
        if ![200, 204].contains(&self.preflight_status) {
            faults.push(("preflight_status", format!("must be 200 or 204, got {}", self.preflight_status)));
        }
        faults
    }

    pub fn allows_any(&self) -> bool {
        self.origins.iter().any(|it| it == "*")
    }
}
