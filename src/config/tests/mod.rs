//! The promises to an operator, on real files.
mod addresses;
mod commented;
mod limits;
mod lists;
mod merging;
mod mistakes;
mod reload;

use std::path::PathBuf;

use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    sources: Sources,
}

fn fixture(text: &str) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    std::fs::write(&file, text).expect("written");
    Fixture { folder, sources: Sources { file: Some(file), ..Sources::default() } }
}

impl Fixture {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(&file, text).expect("written");
        file
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn load(&self) -> Config {
        Live::load(self.sources.clone()).expect("no mistakes").get().as_ref().clone()
    }

    /// All complaints, with the folder's name taken out.
    fn complaints(&self) -> Vec<String> {
        let error = Live::load(self.sources.clone()).expect_err("refused");
        let folder = format!("{}/", self.folder.path().display());
        error.to_string().replace(&folder, "").lines().map(ToOwned::to_owned).collect()
    }
}

/// Whether there may be several of a section.
fn is_list(section: &str) -> bool {
    section == "mail.fallback"
}

/// Every setting by name, with settings that differ from the defaults in it alone.
pub(crate) fn each_changed() -> Vec<(String, Config)> {
    let known = load::known(DEFAULT);
    let settings = known.iter().flat_map(|(section, keys)| keys.iter().map(move |(key, value)| (section, key, value)));
    let changed = settings.map(|(section, key, value)| {
        let other = match (key.as_str(), value) {
            ("listen", _) => "\"127.0.0.1:9\"".to_owned(),
            ("registration", _) => "\"closed\"".to_owned(),
            ("verification", _) => "\"off\"".to_owned(),
            ("security", _) => "\"tls\"".to_owned(),
            ("format", _) => "\"json\"".to_owned(),
            ("origins", _) => "[\"https://app.example.com\"]".to_owned(),
            ("trusted_proxies", _) => "[\"10.0.0.0/8\"]".to_owned(),
            (_, toml::Value::Integer(it)) => (it + 1).to_string(),
            (_, toml::Value::Boolean(it)) => (!it).to_string(),
            _ => "\"another\"".to_owned(),
        };
        // A list is one value.
        let (head, name) = match is_list(section) {
            true => (format!("[[{section}]]"), section.clone()),
            false => (format!("[{section}]"), format!("{section}.{key}")),
        };
        (name, toml::from_str(&format!("{head}\n{key} = {other}\n")).expect("settings"))
    });
    changed.collect()
}
