//! What is wrong is told, where it is, and whole.
use super::*;

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let it = fixture(
        "[server]\nlisen = \"127.0.0.1:1\"\nstop_grace_secs = \"ten\"\n\n[acounts]\nx = 1\n\n[cors]\n  credentials = true\n\
         [http]\nconnections_max = 1\n[accounts]\nregistration = \"closd\"\n[server.public_url]\n",
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
            "config.toml:13:1: `accounts.registration` must be one of `open`, `closed`, and is `closd`; did you mean `closed`?",
            "config.toml:14:9: `server.public_url` must be of type string, not table",
            "STEADING__STORAGE__GROUPMAX: `storage.groupmax` is not a setting; did you mean `group_max`?",
            "STEADING__SERVER__LISTEN: `server.listen` must be an address with a port, such as 127.0.0.1:8088",
        ]
    );
}

/// What a first edit of the file mostly gets wrong.
#[test]
fn a_text_without_quotes_a_key_that_is_doubled_and_one_without_a_section_are_told_as_such() {
    for (text, expected) in [
        ("[server]\nlisten = 127.0.0.1:1\n", "a text stands in quotes"),
        ("[server]\nlisten = localhost\n", "a text stands in quotes"),
        ("[server]\nstop_grace_secs = 1\nstop_grace_secs = 2\n", "`server.stop_grace_secs` is there twice"),
        ("stop_grace_secs = 1\n", "the setting of that name stands under `[server]`"),
    ] {
        let complaints = fixture(text).complaints();
        assert!(complaints.iter().any(|it| it.contains(expected)), "{text} {complaints:?}");
    }
}

/// It would be ignored otherwise, and a server that listens elsewhere than it was told is hard to find.
#[test]
fn a_variable_that_is_named_almost_as_ours_is_refused() {
    let it = fixture("")
        .with("STEADING_SERVER__LISTEN", "127.0.0.1:1")
        .with("STEADING_ADMIN_EMIAL", "ada@example.com")
        .with("STEADING_PORT_8088_TCP_ADDR", "10.0.0.1")
        .with("STEADING_SERVICE_HOST", "10.0.0.1");

    let mut complaints = it.complaints();
    complaints.sort();

    assert_eq!(
        complaints,
        [
            "STEADING_ADMIN_EMIAL: is no setting; did you mean STEADING_ADMIN_EMAIL?",
            "STEADING_SERVER__LISTEN: is no setting; did you mean STEADING__SERVER__LISTEN?",
        ]
    );
}

/// What someone typed is repeated, but must not steer a terminal or make up a line of the log.
#[test]
fn what_was_typed_is_repeated_as_it_has_to_be_written() {
    let it = fixture("[\"ser\\nver\"]\n[cors]\n\"ori\\u001b[2Jgins\" = 1\n\"a\\\"b\\\\\" = 1\n\"\" = 1\n");

    assert_eq!(
        it.complaints(),
        [
            r#"config.toml:1:2: `"ser\nver"` is not a section; did you mean `server`?"#,
            r#"config.toml:3:1: `cors."ori\u{1b}[2Jgins"` is not a setting"#,
            r#"config.toml:4:1: `cors."a\"b\\"` is not a setting"#,
            r#"config.toml:5:1: `cors.""` is not a setting"#,
        ]
    );
    let variable = fixture("").with("STEADING__SERVER__X\nY", "1").with("STEADING__\u{1b}__X", "1");
    assert_eq!(
        variable.complaints(),
        [
            r#"STEADING__SERVER__X\nY: `server."x\ny"` is not a setting"#,
            r#"STEADING__\u{1b}__X: `"\u{1b}"` is not a section"#,
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_refused_by_its_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let mut it = fixture("").with("STEADING_ADMIN_EMAIL", "ada@example.com");
    let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    it.sources.environment.push((text(b"STEADING_ADMIN_PASSWORD"), text(b"hunter2\xff")));
    it.sources.environment.push((text(b"STEADING__SERVER__\xff"), text(b"1")));

    let complaints = it.complaints();

    assert_eq!(
        complaints,
        [
            "STEADING_ADMIN_PASSWORD: `setup.admin_password` is not UTF-8",
            "STEADING__SERVER__\u{fffd}: has a name that is not UTF-8",
        ]
    );
}

#[test]
fn a_number_that_does_not_fit_is_told_as_such() {
    let it = fixture(
        "[server]\nstop_grace_secs = 9223372036854775808\nstop_delay_secs = 1.0\n\
         [storage]\nfree_bytes_min = -1\n[accounts]\nhash_iterations = 4294967296\nhash_memory_kib = 0x2_000\n",
    )
    .with("STEADING__HTTP__BODY_BYTES_MAX", "99999999999999999999")
    .with("STEADING__HTTP__CONNECTIONS_MAX", "1e3")
    .with("STEADING__HTTP__IDLE_TIMEOUT_SECS", "ten");

    assert_eq!(
        it.complaints(),
        [
            "config.toml:2:1: `server.stop_grace_secs` is far out of range: 9223372036854775808",
            "config.toml:3:1: `server.stop_delay_secs` must be a whole number, got 1.0",
            "config.toml:5:1: `storage.free_bytes_min` must not be negative, got -1",
            "config.toml:7:1: `accounts.hash_iterations` is far out of range: 4294967296",
            "STEADING__HTTP__BODY_BYTES_MAX: `http.body_bytes_max` is far out of range: 99999999999999999999",
            "STEADING__HTTP__CONNECTIONS_MAX: `http.connections_max` must be a whole number, got 1000.0",
            "STEADING__HTTP__IDLE_TIMEOUT_SECS: `http.idle_timeout_secs` must be of type integer, not string",
        ]
    );
}

/// More than the value in a variable or a file would be ignored in silence.
#[test]
fn a_value_stands_alone() {
    let it = fixture("[server]\nstop_grace_secs_file = \"grace\"\n").with("STEADING__LOG__REQUESTS", "true\nx = 1");
    it.write("grace", "7\nstop_delay_secs = 8\n");

    let complaints = it.complaints();

    assert!(
        complaints[0].ends_with("must hold a value of type integer for `server.stop_grace_secs`"),
        "{complaints:?}"
    );
    assert_eq!(complaints[1], "STEADING__LOG__REQUESTS: `log.requests` must be of type boolean, not string");
}

/// The mistake that everyone makes once.
#[test]
fn a_text_without_quotes_is_one_mistake_and_told_as_such() {
    for (line, bare) in [
        ("listen = 127.0.0.1:8088", "127.0.0.1:8088"),
        ("listen = [::1]:8088", ""),
        ("public_url = https://example.com/x", "https://example.com/x"),
        ("public_url = ada@example.com", "ada@example.com"),
    ] {
        let complaints = fixture(&format!("[server]\n{line}\nstop_delay_secs = 1\n")).complaints();

        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].starts_with("config.toml:2:") && complaints[0].contains(bare), "{complaints:?}");
        assert!(bare.is_empty() || complaints[0].contains("a text stands in quotes"), "{complaints:?}");
    }
    assert_eq!(fixture(&format!("[server]\na = {}\n", "[".repeat(500))).complaints().len(), 1);
}

#[test]
fn a_mistake_names_the_whole_key_and_the_place_that_it_comes_from() {
    let missing = fixture("").with("STEADING_ADMIN_EMAIL", "ada@example.com").complaints();
    assert_eq!(missing, ["STEADING_ADMIN_EMAIL: `setup.admin_password` is needed beside `admin_email`"]);
    let both = fixture("[setup]\nadmin_email = \"ada\"\nadmin_password = \"short\"\n").complaints();
    assert!(both.len() == 2 && both[1].starts_with("config.toml:3:1: `setup.admin_password` must be at"), "{both:?}");
    let twice =
        fixture("[log]\nrequests = true\n[server]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n").complaints();
    assert!(twice[0].contains("`server.listen` is there twice"), "{twice:?}");
    let gone = fixture("[server]\nlisten_file = \"gone\"\n").complaints();
    assert!(gone[0].contains("`server.listen_file`: gone cannot be read"), "{gone:?}");
    let it = fixture("[setup]\nadmin_email = \"ada@example.com\"\nadmin_password_file = \"empty\"\n");
    it.write("empty", "\n");
    assert!(it.complaints()[0].contains("`setup.admin_password_file`: empty is empty"), "{:?}", it.complaints());
}

/// Opening it would wait for whoever writes to it, at every reload.
#[test]
fn a_pipe_is_no_file_with_settings() {
    let it = fixture("");
    let file = it.folder.path().join("config.toml");
    std::fs::remove_file(&file).expect("removed");
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");

    assert!(it.complaints()[0].contains("it is a pipe"), "{:?}", it.complaints());
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
