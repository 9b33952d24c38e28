//! The promises to an operator, on real files.
use std::path::PathBuf;
use std::time::{Duration, Instant};

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

/// The commented file is the documentation; it must not lie.
#[test]
fn the_commented_file_is_exactly_the_defaults() {
    let uncommented: String = load::known(DEFAULT)
        .iter()
        .map(|(section, keys)| {
            let keys: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            format!("[{section}]\n{keys}")
        })
        .collect();

    assert_eq!(fixture(DEFAULT).load(), Config::default());
    assert_eq!(fixture(&uncommented).load(), Config::default());
}

/// Each setting is in the file, so that a new one cannot be forgotten there.
#[test]
fn the_commented_file_names_every_setting() {
    let known = load::known(DEFAULT);
    let printed = format!("{:#?}", Config::default());
    let settings =
        printed.lines().filter(|it| it.starts_with("        ") && !it.starts_with("         ") && it.contains(": "));
    let names: Vec<_> = settings.map(|it| it.trim().split(':').next().unwrap_or_default()).collect();

    assert!(30 < names.len());
    for name in names {
        assert!(known.values().any(|keys| keys.contains_key(name)), "`{name}` is not in config.toml");
    }
}

/// The guide is what operators read.
#[test]
fn the_guide_names_every_setting() {
    let guide = include_str!("../../assets/docs/configuration.md");
    for (section, keys) in load::known(DEFAULT) {
        assert!(guide.contains(&format!("[{section}]")), "[{section}]");
        for key in keys.keys() {
            assert!(guide.contains(&format!("`{key}`")), "`{key}`");
        }
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let it = fixture(
        "[server]\nlisen = \"127.0.0.1:1\"\nstop_grace_secs = \"ten\"\n\n[acounts]\nx = 1\n\n[cors]\n  credentials = true\n\
         [http]\nconnections_max = 1\n[accounts]\nregistration = \"opened\"\n[server.public_url]\n",
    )
    .with("STEADING__SERVER__LISTEN", "nowhere")
    .with("STEADING__STORAGE__GROUPMAX", "1");

    assert_eq!(
        it.complaints(),
        [
            "config.toml:2:1: `server.lisen` is not a setting; did you mean `listen`?",
            "config.toml:3:1: `server.stop_grace_secs` must be of type integer, not string",
            "config.toml:5:2: `acounts` is not a section; did you mean `accounts`?",
            "config.toml:9:3: `cors.credentials` needs exact `origins`: with \"*\" any page could act as its visitors",
            "config.toml:11:1: `http.connections_max` must be 8 to 1000000, got 1",
            "config.toml:13:1: `accounts.registration`: unknown variant `opened`, expected `open` or `closed`",
            "config.toml:14:9: `server.public_url` must be of type string, not table",
            "STEADING__STORAGE__GROUPMAX: `storage.groupmax` is not a setting; did you mean `group_max`?",
            "STEADING__SERVER__LISTEN: `server.listen`: invalid socket address syntax",
        ]
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let complaints = fixture("[server]\nlisten = \n").complaints();

    assert!(complaints[0].starts_with("config.toml:2:"), "{complaints:?}");
    assert!(
        fixture("[server]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n").complaints()[0]
            .contains("config.toml:3:")
    );
    assert!(!fixture("\u{0}\u{1}[[[").complaints().is_empty());
}

#[test]
fn later_sources_win() {
    let it = fixture("[server]\nlisten = \"127.0.0.1:1\"\npublic_url = \"https://a.example\"\nstop_grace_secs = 1\n");
    it.write("conf.d/20.toml", "[server]\npublic_url = \"https://c.example\"\n");
    it.write("conf.d/10.toml", "[server]\npublic_url = \"https://b.example\"\nstop_grace_secs = 2\n");
    it.write("conf.d/ignored.txt", "not a setting");
    let mut it = it
        .with("STEADING__SERVER__STOP_GRACE_SECS", "3")
        .with("STEADING__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"::1\"]");
    it.sources.flags.listen = Some("127.0.0.1:9".parse().expect("an address"));

    let server = it.load().server;

    assert_eq!((server.listen.port(), server.public_url.as_str(), server.stop_grace_secs), (9, "https://c.example", 3));
    assert_eq!(server.trusted_proxies.len(), 2);
}

#[test]
fn any_setting_can_be_read_from_a_file() {
    let it = fixture("[server]\npublic_url_file = \"url.txt\"\nstop_grace_secs_file = \"grace.txt\"\n");
    it.write("url.txt", "https://a.example\n");
    it.write("grace.txt", "7\n");
    let password = it.write("password", "correct horse battery\n");
    let it = it
        .with("STEADING_ADMIN_EMAIL", "ada@example.com")
        .with("STEADING_ADMIN_PASSWORD_FILE", &password.display().to_string());

    let config = it.load();

    assert_eq!((config.server.public_url.as_str(), config.server.stop_grace_secs), ("https://a.example", 7));
    assert_eq!(config.setup.admin_password.reveal(), "correct horse battery");
}

#[test]
fn a_secret_is_in_no_complaint_and_no_log() {
    let it = fixture("").with("STEADING_ADMIN_PASSWORD", "hunter2hunter2");

    let complaints = it.complaints().join("\n");

    assert!(complaints.contains("admin_email") && !complaints.contains("hunter2"), "{complaints}");
    let it = it.with("STEADING_ADMIN_EMAIL", "a@b.c");
    let live = Live::load(it.sources.clone()).expect("no mistakes");
    assert!(!format!("{live:?} {:?} {:?}", it.sources, it.load()).contains("hunter2"));
}

#[test]
fn a_file_that_is_missing_is_a_mistake_only_if_it_was_named() {
    let it = fixture("");
    std::fs::remove_file(it.folder.path().join("config.toml")).expect("removed");

    assert!(it.complaints()[0].contains("cannot be read"));
    assert_eq!(*Live::load(Sources::default()).expect("no file, no mistake").get(), Config::default());
}

#[test]
fn dev_is_for_this_machine_only() {
    let mut it = fixture("[server]\nlisten = \"0.0.0.0:8088\"\n");
    it.sources.flags.dev = true;

    assert_eq!(it.complaints(), ["--dev: listens on loopback addresses only, not on 0.0.0.0:8088"]);
}

/// A typing error at night must not take the service down.
#[test]
fn a_bad_file_is_refused_as_a_whole_and_the_old_settings_stay() {
    let it = fixture("[server]\nstop_grace_secs = 1\n");
    let live = Live::load(it.sources.clone()).expect("loaded");
    let view = live.view(|it| &it.server);

    it.write("config.toml", "[server]\nstop_grace_secs = 2\nlisen = 1\n");
    assert!(live.reload().is_err());
    assert_eq!(view.get().stop_grace_secs, 1);

    it.write("config.toml", "[server]\nstop_grace_secs = 3\n");
    live.reload().expect("no mistakes");
    assert_eq!(view.get().stop_grace_secs, 3);
}

#[test]
fn a_changed_file_is_taken_up_while_running() {
    let it = fixture("[server]\nstop_grace_secs = 1\n");
    let live = Live::load(it.sources.clone()).expect("loaded");
    let _watch = live.watch().expect("watching");

    // As editors do: a new file in the place of the old one.
    let new = it.write("config.toml.new", "[server]\nstop_grace_secs = 5\n");
    std::fs::rename(new, it.folder.path().join("config.toml")).expect("replaced");

    let until = Instant::now() + Duration::from_secs(10);
    while live.get().server.stop_grace_secs != 5 {
        assert!(Instant::now() < until, "the change was not taken up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_reload_knows_which_settings_changed() {
    let new = fixture("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[log]\nrequests = false\n").load();

    assert_eq!(live::changes(&Config::default(), &new), ["log.requests", "server.trusted_proxies"]);
    assert!(live::changes(&new, &new.clone()).is_empty());
}

proptest::proptest! {
    /// Whatever lies in the file, the answer is settings or complaints.
    #[test]
    fn no_text_breaks_the_reading(text in "\\PC{0,200}") {
        let it = fixture(&text);
        let _ = Live::load(it.sources.clone());
    }
}
