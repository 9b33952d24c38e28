//! Which source weighs more, and what a value may be read from.
use super::*;

#[test]
fn later_sources_win() {
    let it = fixture("[server]\nlisten = \"127.0.0.1:1\"\npublic_url = \"https://a.example\"\nstop_grace_secs = 1\n");
    it.write("conf.d/20.toml", "[server]\npublic_url = \"https://c.example\"\n");
    it.write("conf.d/10.toml", "[server]\npublic_url = \"https://b.example\"\nstop_grace_secs = 2\n");
    it.write("conf.d/ignored.txt", "not a setting");
    it.write("conf.d/.20.toml", "not a setting");
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
fn dev_is_for_this_machine_only() {
    let mut it = fixture("[server]\nlisten = \"0.0.0.0:8088\"\n");
    it.sources.flags.dev = true;

    assert_eq!(it.complaints(), ["--dev: listens on loopback addresses only, not on 0.0.0.0:8088"]);
}
