use serde::{Deserialize, Serialize};

use super::complaint::quoted;
use super::{Faults, within};
use crate::base::web::Site;

/// Most origins. The list is gone through at each request that comes from a page.
const ORIGINS_MAX: usize = 100;

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
        if ORIGINS_MAX < self.origins.len() {
            faults.push(("origins", format!("must be at most {ORIGINS_MAX}, got {}", self.origins.len())));
        }
        faults.extend(self.origins.iter().filter(|it| *it != "*").filter_map(|it| Some(("origins", wrong(it)?))));
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

/// Why no browser sends this origin, if none does: it would be listed in vain.
fn wrong(origin: &str) -> Option<String> {
    let shown = quoted(origin);
    if origin == "null" {
        return Some(
            "\"null\" is the origin of any file and of many a page that hides its own: list no such".to_owned(),
        );
    }
    let Some(site) = Site::parse(origin).filter(|it| it.rest.is_empty() || it.rest.starts_with('/')) else {
        return Some(format!("{shown} is not an origin such as \"https://app.example.com\""));
    };
    let sent = site.origin();
    (sent != origin).then(|| format!("{shown} is sent by no browser; did you mean \"{sent}\"?"))
}
