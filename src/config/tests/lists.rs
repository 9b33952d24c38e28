//! Sections within sections, and lists of them: further mail servers, and what mails are signed with.
use super::*;

const FIRST: &str = "[mail]\nhost = \"smtp.example.com\"\nfrom = \"post@example.com\"\n";

fn names(config: &Config) -> Vec<String> {
    config.mail.servers().iter().map(MailServer::name).collect()
}

#[test]
fn further_mail_servers_stand_in_their_order_with_settings_of_their_own() {
    let it = fixture(&format!(
        "{FIRST}\n[[mail.fallback]]\nhost = \"b.example.com\"\nsecurity = \"tls\"\nusername = \"b\"\n\
         password_file = \"b\"\n[[mail.fallback]]\nhost = \"c.example.com\"\nport = 2525\ntimeout_secs = 5\n"
    ));
    it.write("b", "hunter2\n");

    let config = it.load();

    assert_eq!(names(&config), ["smtp.example.com:587", "b.example.com:465", "c.example.com:2525"]);
    assert_eq!(config.mail.fallback[0].password.reveal(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.mail.servers()[2].timeout_secs, 5);
}

/// A secret comes from the environment where everything else is in a file, or everything does.
#[test]
fn a_variable_names_a_further_mail_server_by_its_number() {
    let it = fixture(&format!("{FIRST}[[mail.fallback]]\nhost = \"b.example.com\"\nusername = \"b\"\n"))
        .with("STEADING__MAIL__FALLBACK__1__PASSWORD", "hunter2")
        .with("STEADING__MAIL__FALLBACK__2__HOST", "c.example.com")
        .with("STEADING__MAIL__FALLBACK__2__PORT", "26");

    let config = it.load();

    assert_eq!(names(&config), ["smtp.example.com:587", "b.example.com:587", "c.example.com:26"]);
    assert_eq!(config.mail.fallback[0].password.reveal(), "hunter2");
}

#[test]
fn a_list_in_a_later_file_stands_for_the_one_before() {
    let it = fixture(&format!(
        "{FIRST}[[mail.fallback]]\nhost = \"b.example.com\"\n[[mail.fallback]]\nhost = \"c.example.com\"\n"
    ));
    it.write("conf.d/10.toml", "[[mail.fallback]]\nhost = \"d.example.com\"\n");
    it.write("conf.d/20.toml", "[mail]\nport = 26\n");

    assert_eq!(names(&it.load()), ["smtp.example.com:26", "d.example.com:587"]);
}

#[test]
fn what_is_wrong_with_one_of_a_list_is_told_with_its_number_and_place() {
    let it = fixture(&format!(
        "{FIRST}[[mail.fallback]]\nhots = \"b.example.com\"\n[[mail.fallback]]\nport = 25\ntimeout_secs = 0\n\
         [[mail.fallback]]\nhost = \"d.example.com\"\nsecurity = \"non\"\n[[mail.fallback]]\n"
    ))
    .with("STEADING__MAIL__FALLBACK__HOST", "e.example.com")
    .with("STEADING__MAIL__FALLBACK__6__HOST", "e.example.com")
    .with("STEADING__MAIL__FALLBACK__01__HOST", "e.example.com");

    let number = "must have a number from 1 to 5, such as STEADING__MAIL__FALLBACK__1__…";
    assert_eq!(
        it.complaints(),
        [
            "config.toml:4:8: `mail.fallback.4` is empty".to_owned(),
            "config.toml:5:1: `mail.fallback.1.hots` is not a setting; did you mean `host`?".to_owned(),
            "config.toml:7:1: `mail.fallback.1.host` is needed: the name of the server".to_owned(),
            "config.toml:7:1: `mail.fallback.2.host` is needed: the name of the server".to_owned(),
            "config.toml:8:1: `mail.fallback.2.timeout_secs` must be 1 to 300, got 0".to_owned(),
            "config.toml:11:1: `mail.fallback.3.security` must be one of `starttls`, `tls`, `none`, and is `non`; did you \
             mean `none`?"
                .to_owned(),
            format!("STEADING__MAIL__FALLBACK__HOST: {number}"),
            format!("STEADING__MAIL__FALLBACK__6__HOST: {number}"),
            format!("STEADING__MAIL__FALLBACK__01__HOST: {number}"),
        ]
    );
}

#[test]
fn a_number_that_is_left_out_is_a_server_that_is_missing() {
    let it = fixture(FIRST).with("STEADING__MAIL__FALLBACK__2__HOST", "c.example.com");

    let missing = "STEADING__MAIL__FALLBACK__2__HOST: `mail.fallback.1.host` is needed: the name of the server";
    assert_eq!(it.complaints(), [missing]);
}

#[test]
fn a_list_that_is_none_and_a_section_that_is_none_are_told_how_to_be_written() {
    let one = |text: &str| fixture(&format!("{FIRST}{text}")).complaints().remove(0);
    let list = "`mail.fallback` is a list of sections: write `[[mail.fallback]]` on a line of its own for each";
    assert!(one("[mail.fallback]\nhost = \"b\"\n").ends_with(list));
    assert!(one("fallback = \"b.example.com\"\n").ends_with(list));
    assert!(one("fallback = [\"b.example.com\"]\n").ends_with(list));
    assert!(one("dkim = true\n").ends_with("`mail.dkim` is a section: write `[mail.dkim]` on a line of its own"));
    let many = one(&"[[mail.fallback]]\nhost = \"b.example.com\"\n".repeat(6));
    assert!(many.ends_with("`mail.fallback` must be at most 5 sections, got 6"), "{many}");
    let alone = fixture("[[mail.fallback]]\nhost = \"b.example.com\"\n").complaints();
    assert!(alone[0].contains("`mail.host` is needed beside `[[mail.fallback]]`"), "{alone:?}");
    assert!(fixture("[\"mail.dkim\"]\ndomain = \"a.example\"\n").complaints()[0].contains("is not a section"));
}

#[test]
fn a_new_password_of_a_further_mail_server_is_a_change() {
    let with = |password: &str| {
        let server =
            format!("[[mail.fallback]]\nhost = \"b.example.com\"\nusername = \"b\"\npassword = \"{password}\"\n");
        fixture(&format!("{FIRST}{server}")).load()
    };

    assert_eq!(live::changes(&with("one"), &with("two")), ["mail.fallback"]);
    assert!(live::changes(&with("one"), &with("one")).is_empty());
}

/// A mail that is signed with nonsense is worse than one that is not signed.
#[test]
fn a_key_or_a_name_that_signs_nothing_is_told_at_the_start_and_the_key_is_not_repeated() {
    let dkim = |domain: &str, selector: &str, key: &str| {
        let lines = format!("domain = \"{domain}\"\nselector = \"{selector}\"\nkey = \"\"\"{key}\"\"\"\n");
        fixture(&format!("{FIRST}[mail.dkim]\n{lines}")).complaints()
    };
    let pem = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";

    let all = dkim("exa mple.com", "a_b", pem);
    assert_eq!(
        all,
        [
            "config.toml:5:1: `mail.dkim.domain` must be a domain such as \"example.com\", got \"exa mple.com\"",
            "config.toml:6:1: `mail.dkim.selector` must be a name of letters, digits and dashes, such as \"steading\", got \
             \"a_b\"",
            "config.toml:7:1: `mail.dkim.key` must be an RSA key of 2048 to 8192 bits, or an Ed25519 key",
        ]
    );
    assert!(dkim("localhost", "a", pem)[0].contains("must be a domain"));
    let long = dkim(&format!("{}com", "a.".repeat(120)), &"b".repeat(60), "x");
    assert!(long[0].contains("at most 253 bytes") && long[1].contains("PEM"), "{long:?}");
    let missing = fixture(&format!("{FIRST}[mail.dkim]\nselector = \"a\"\n")).complaints();
    assert_eq!(
        missing,
        [
            "config.toml:5:1: `mail.dkim.domain` is needed beside `selector`",
            "config.toml:5:1: `mail.dkim.key` is needed beside `selector`",
        ]
    );
}

#[test]
fn a_key_in_a_file_signs() {
    // The key of RFC 8463 appendix A.
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
               -----END PRIVATE KEY-----\n";
    let it = fixture(&format!("{FIRST}[mail.dkim]\ndomain = \"example.com\"\nselector = \"s1\"\nkey_file = \"key\"\n"));
    it.write("key", pem);

    let config = it.load();

    assert!(config.mail.dkim.is_set());
    assert_eq!(config.mail.dkim.record_name(), "s1._domainkey.example.com");
    let live = Live::load(it.sources.clone()).expect("loaded");
    it.write("key", &pem.replace("J1hs", "J1ht"));
    assert!(live.reload().expect("taken up"), "a new key is a change");
}
