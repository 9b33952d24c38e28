//! How large settings may be, and that what is too large costs little.
use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_file_of_settings_has_a_largest_size() {
    let bytes_max = 1 << 20;
    let it = fixture(&"#".repeat(bytes_max));
    assert_eq!(it.load(), Config::default());

    it.write("config.toml", &"#".repeat(bytes_max + 1));
    assert_eq!(it.complaints(), ["config.toml: cannot be read: it has more than 1048576 bytes"]);

    it.write("config.toml", "");
    it.write("conf.d/10.toml", &"#".repeat(bytes_max + 1));
    assert_eq!(it.complaints(), ["conf.d/10.toml: cannot be read: it has more than 1048576 bytes"]);
}

/// A device has no end.
#[cfg(unix)]
#[test]
fn a_file_without_end_is_refused() {
    let mut it = fixture("[setup]\nadmin_password_file = \"/dev/zero\"\n");
    assert_eq!(
        it.complaints(),
        ["config.toml:2:1: `setup.admin_password_file`: /dev/zero cannot be read: it has more than 65536 bytes"]
    );

    it.sources.file = Some("/dev/zero".into());
    assert_eq!(it.complaints(), ["/dev/zero: cannot be read: it has more than 1048576 bytes"]);
}

#[test]
fn a_file_with_a_value_has_a_largest_size() {
    let it = fixture("[setup]\nadmin_email = \"ada@example.com\"\nadmin_password_file = \"password\"\n");
    it.write("password", &"x".repeat(64 << 10));
    assert_eq!(it.load().setup.admin_password.reveal().len(), 64 << 10);

    it.write("password", &"x".repeat((64 << 10) + 1));
    assert_eq!(
        it.complaints(),
        ["config.toml:3:1: `setup.admin_password_file`: password cannot be read: it has more than 65536 bytes"]
    );
}

#[test]
fn what_is_no_text_and_what_is_no_name_are_told() {
    let it = fixture("[setup]\nadmin_password_file = \"\"\n[log]\nrequests_file = 5\n");
    assert_eq!(
        it.complaints(),
        [
            "config.toml:2:1: `setup.admin_password_file` must be the name of a file",
            "config.toml:4:1: `log.requests_file` must be the name of a file",
        ]
    );

    std::fs::write(it.folder.path().join("config.toml"), b"[server]\n# \xff\n").expect("written");
    assert_eq!(it.complaints(), ["config.toml: cannot be read: it is not UTF-8"]);
}

#[test]
fn more_files_than_are_read_are_refused() {
    let it = fixture("");
    for number in 0..load::MORE_FILES_MAX {
        it.write(&format!("conf.d/{number}.toml"), "");
    }
    assert_eq!(it.load(), Config::default());

    it.write("conf.d/one.toml", "");
    assert_eq!(it.complaints(), ["conf.d: has more than 100 files"]);
}

/// A file that is not meant to be settings must not keep the server from saying so.
#[test]
fn a_file_full_of_mistakes_is_told_in_short_and_soon() {
    let lines = |line: &dyn Fn(usize) -> String| -> String {
        let mut text = "[server]\n".to_owned();
        (0..)
            .map(line)
            .take_while(|it| {
                text.len() + it.len() < 1 << 20 && {
                    text.push_str(it);
                    true
                }
            })
            .for_each(drop);
        text
    };
    let one_line = lines(&|it| format!("k{it}=1,")).replace("[server]\n", "server={");
    for text in [
        lines(&|it| format!("k{it}=1\n")),
        lines(&|it| format!("[k{it}]\n")),
        lines(&|_| "[[[\n".to_owned()),
        lines(&|_| "listen = \n".to_owned()),
        one_line.trim_end_matches(',').to_owned() + "}",
        format!("[server]\n{} = 1\n", "k".repeat(1_000_000)),
    ] {
        let it = fixture(&text);
        let began = Instant::now();

        let complaints = it.complaints();

        let (first, took) = (complaints[0].clone(), began.elapsed());
        assert!(complaints.len() <= 101 && first.len() < 300, "{} complaints: {first}", complaints.len());
        assert!(complaints.len() < 100 || complaints[100] == "no more than 100 mistakes are told");
        assert!(took < Duration::from_secs(20), "{took:?} for {}", &text[..40]);
    }
}
