//! What mails look like.
use minijinja::Value;
use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};
use serde::{Deserialize, Serialize};

use crate::base::web::Site;
use crate::http::problem::Fault;

/// Longest address of a picture or page.
const URL_BYTES_MAX: usize = 2_000;

/// What mails look like, and who they seem to come from.
#[derive(Clone, Debug, PartialEq, Eq, Object, Serialize, Deserialize)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(default, rename_all = "camelCase")]
pub struct Brand {
    /// What the product is called.
    pub product_name: String,
    /// The product's page.
    pub url: Option<String>,
    /// A picture on top of each mail, `https://…`.
    pub logo_url: Option<String>,
    /// The color of buttons and links: `#` and six hexadecimal digits.
    pub accent_color: String,
    /// What stands at the end of each mail: a company and its address.
    pub footer: Option<String>,
    /// Where people get help.
    pub support_email: Option<String>,
}

impl Default for Brand {
    fn default() -> Self {
        Self {
            product_name: "Steading".to_owned(),
            url: None,
            logo_url: None,
            accent_color: "#1f6f4a".to_owned(),
            footer: None,
            support_email: None,
        }
    }
}

impl Example for Brand {
    fn example() -> Self {
        Self {
            product_name: "Example Notes".to_owned(),
            url: Some("https://example.com".to_owned()),
            logo_url: Some("https://example.com/logo.png".to_owned()),
            accent_color: "#0b57d0".to_owned(),
            footer: Some("Example Ltd, 1 Example Street, Exampletown".to_owned()),
            support_email: Some("help@example.com".to_owned()),
        }
    }
}

/// What is to be changed of the looks. What is absent stays; `null` takes away.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct BrandPatch {
    #[oai(validator(min_length = 1, max_length = 100))]
    pub product_name: Option<String>,
    #[oai(validator(max_length = 2000))]
    pub url: MaybeUndefined<String>,
    #[oai(validator(max_length = 2000))]
    pub logo_url: MaybeUndefined<String>,
    #[oai(validator(max_length = 7))]
    pub accent_color: Option<String>,
    #[oai(validator(max_length = 500))]
    pub footer: MaybeUndefined<String>,
    #[oai(validator(max_length = 254))]
    pub support_email: MaybeUndefined<String>,
}

impl Example for BrandPatch {
    fn example() -> Self {
        Self {
            product_name: Some("Example Notes".to_owned()),
            url: MaybeUndefined::Undefined,
            logo_url: MaybeUndefined::Undefined,
            accent_color: Some("#0b57d0".to_owned()),
            footer: MaybeUndefined::Null,
            support_email: MaybeUndefined::Undefined,
        }
    }
}

impl Brand {
    /// With what is to be changed, or everything that is wrong with that.
    pub(super) fn patched(self, patch: BrandPatch) -> Result<Self, Vec<Fault>> {
        let keep = |new: MaybeUndefined<String>, old: Option<String>| match new {
            MaybeUndefined::Undefined => old,
            MaybeUndefined::Null => None,
            MaybeUndefined::Value(new) => Some(new).filter(|it| !it.is_empty()),
        };
        let new = Self {
            product_name: patch.product_name.unwrap_or(self.product_name),
            url: keep(patch.url, self.url),
            logo_url: keep(patch.logo_url, self.logo_url),
            accent_color: patch.accent_color.unwrap_or(self.accent_color),
            footer: keep(patch.footer, self.footer),
            support_email: keep(patch.support_email, self.support_email),
        };
        let faults = new.faults();
        if faults.is_empty() { Ok(new) } else { Err(faults) }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |member, code, detail: &str| faults.push(Fault::new(member, code, detail));
        if self.product_name.trim().is_empty() || self.product_name.contains(char::is_control) {
            fault("/productName", "invalid", "must be some characters in one line");
        }
        for (member, url) in [("/url", &self.url), ("/logoUrl", &self.logo_url)] {
            if url.as_deref().is_some_and(|it| !is_address(it)) {
                fault(member, "url", "must be an address such as https://example.com/logo.png");
            }
        }
        let digits = self.accent_color.strip_prefix('#').unwrap_or_default();
        if digits.len() != 6 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            fault("/accentColor", "invalid", "must be `#` and six hexadecimal digits, such as #0b57d0");
        }
        if let Some(email) = &self.support_email
            && let Err(why) = crate::base::text::normalize_email(email)
        {
            fault("/supportEmail", "email", why);
        }
        faults
    }

    /// As templates see it.
    pub(super) fn as_data(&self) -> Value {
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        Value::from_pairs([
            ("productName", self.product_name.clone()),
            ("url", text(&self.url)),
            ("logoUrl", text(&self.logo_url)),
            ("accentColor", self.accent_color.clone()),
            ("accentText", text_on(&self.accent_color).to_owned()),
            ("footer", text(&self.footer)),
            ("supportEmail", text(&self.support_email)),
        ])
    }
}

/// White or black, whichever is easier to read on a color (WCAG 2.2, relative luminance).
fn text_on(color: &str) -> &'static str {
    let part = |at: usize| color.get(at..at + 2).and_then(|it| u8::from_str_radix(it, 16).ok()).unwrap_or(0);
    let linear = |it: u8| (f64::from(it) / 255.0).powf(2.2);
    let luminance = 0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5));
    if luminance < 0.18 { "#ffffff" } else { "#000000" }
}

fn is_address(url: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_graphic() && !b"\\\"'<>".contains(&it);
    url.len() <= URL_BYTES_MAX
        && url.bytes().all(is_plain)
        && Site::parse(url).is_some_and(|it| ["http", "https"].contains(&it.scheme))
}
