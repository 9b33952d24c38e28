//! What is wrong is told, where it is, and whole.
use super::*;

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

/// The filter would take the word for the name of a part, and log nothing else.
#[test]
fn a_word_that_is_no_level_does_not_silence_the_log() {
    let refused = |level: &str| fixture(&format!("[log]\nlevel = \"{level}\"\n")).complaints().remove(0);

    let levels =
        r#"is neither a level ("error", "warn", "info", "debug", "trace", "off") nor such as "steading::db=debug""#;
    assert_eq!(refused("inof"), format!("config.toml:2:1: `log.level` \"inof\" {levels}; did you mean `info`?"));
    assert_eq!(
        refused("info,steading=debgu"),
        format!("config.toml:2:1: `log.level` \"steading=debgu\" {levels}; did you mean `debug`?")
    );
    assert_eq!(refused("steading"), format!("config.toml:2:1: `log.level` \"steading\" {levels}"));
    assert_eq!(refused(""), format!("config.toml:2:1: `log.level` \"\" {levels}"));
    assert!(refused("info,{=debug").contains("is not understood"));
    for level in ["off", "WARN", "info,steading::db=debug", "steading=trace,warn"] {
        assert_eq!(fixture(&format!("[log]\nlevel = \"{level}\"\n")).load().log.level, level);
    }
}

proptest::proptest! {
    /// Whatever lies in the file, the answer is settings or complaints.
    #[test]
    fn no_text_breaks_the_reading(text in "\\PC{0,200}") {
        let it = fixture(&text);
        let _ = Live::load(it.sources.clone());
    }
}
