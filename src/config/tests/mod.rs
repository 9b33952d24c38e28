//! The promises to an operator, on real files.
mod commented;
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
        self.sources.environment.push((name.to_owned(), value.to_owned()));
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
