//! Accounts of Firebase, whose passwords are hashed with a key of their project.
use anyhow::Context as _;
use serde_json::{Map, Value};

use super::members;
use super::record::Record;

/// How the passwords of a project are hashed: what the console shows at Authentication, Users, "Password hash parameters".
#[derive(Debug)]
pub(in crate::roles) struct Project {
    /// In Base64.
    signer_key: String,
    /// In Base64; may be empty.
    salt_separator: String,
    rounds: u32,
    /// A power of two.
    memory_cost: u32,
}

impl Project {
    /// Reads what the console shows, `hash_config { … }`, or the same as JSON.
    pub(in crate::roles) fn read(text: &str) -> anyhow::Result<Self> {
        let find = |name: &str| {
            let mut pairs = text.split([',', ';', '\n', '{', '}']).filter_map(|it| it.split_once(':'));
            let found = pairs.find(|(key, _)| plain(key) == name || plain(key) == format!("base64{name}"));
            found.map(|(_, value)| value.trim().trim_matches('"').to_owned())
        };
        if let Some(algorithm) = find("algorithm") {
            anyhow::ensure!(algorithm == "SCRYPT", "passwords that are hashed with {algorithm} are not known");
        }
        let number = |name: &'static str, shown: &str| {
            let value = find(name).with_context(|| format!("`{shown}` is missing"))?;
            value.parse().with_context(|| format!("`{shown}` must be a number"))
        };
        Ok(Self {
            signer_key: find("signerkey").filter(|it| !it.is_empty()).context("`base64_signer_key` is missing")?,
            salt_separator: find("saltseparator").unwrap_or_default(),
            rounds: number("rounds", "rounds")?,
            memory_cost: number("memcost", "mem_cost")?,
        })
    }

    /// A password as accounts are imported with it.
    fn kept(&self, salt: &str, hash: &str) -> String {
        let Self { signer_key, salt_separator, rounds, memory_cost } = self;
        let (salt, hash) = (standard(salt), standard(hash));
        format!("$fbscrypt$v=1,n={memory_cost},r={rounds},p=1,ss={salt_separator},sk={signer_key}${salt}${hash}")
    }
}

pub(super) fn account(record: &Record, project: Option<&Project>) -> Result<Map<String, Value>, String> {
    let hash = match (record.text("passwordHash"), project) {
        (None, _) => None,
        (Some(_), None) => return Err("it is not said how passwords are hashed".to_owned()),
        (Some(hash), Some(project)) => Some(project.kept(&record.text("salt").unwrap_or_default(), &hash)),
    };
    Ok(members([
        ("email", record.text("email").map(Value::from)),
        ("name", record.text("displayName").map(Value::from)),
        ("emailVerified", Some(record.flag("emailVerified").into())),
        ("passwordHash", hash.map(Value::from)),
        ("createdAt", record.moment("createdAt").map(Value::from)),
        ("disabled", record.flag("disabled").then(|| true.into())),
    ]))
}

/// A name without what tells its spellings apart: `mem_cost` and `"memCost"`.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Base64 in its common letters: the API of Firebase writes those that stand in an address.
fn standard(text: &str) -> String {
    text.replace('-', "+").replace('_', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_read_as_the_console_shows_them_and_as_json() {
        let shown = "hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: a+/b==,\n  \
                     base64_salt_separator: Bw==,\n  rounds: 8,\n  mem_cost: 14,\n}\n";
        let json = r#"{"algorithm":"SCRYPT","signerKey":"a+/b==","saltSeparator":"Bw==","rounds":8,"memCost":14}"#;

        for text in [shown, json] {
            let kept = Project::read(text).expect("read").kept("s-_t", "h-_h");
            assert_eq!(kept, "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=a+/b==$s+/t$h+/h");
        }
        for broken in ["", "rounds: 8, mem_cost: 14", &shown.replace("14", "much"), &shown.replace("SCRYPT", "BCRYPT")]
        {
            assert!(Project::read(broken).is_err(), "{broken}");
        }
    }
}
