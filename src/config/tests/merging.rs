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

/// A password may end in spaces or an empty line; an editor adds the end of one line.
#[test]
fn one_end_of_a_line_is_no_part_of_a_file_with_a_value() {
    for (text, password) in
        [("secret words", "secret words"), ("secret words\n", "secret words"), ("secret words\r\n", "secret words")]
            .into_iter()
            .chain([("secret words \n\n", "secret words \n"), ("secret words\r", "secret words\r")])
    {
        let it = fixture("[setup]\nadmin_email = \"ada@example.com\"\nadmin_password_file = \"password\"\n");
        it.write("password", text);

        assert_eq!(it.load().setup.admin_password.reveal(), password, "{text:?}");
    }
}

/// One was left behind when it moved to the other, and nobody can say which is right.
#[test]
fn a_secret_that_is_given_both_ways_is_refused_with_both_places() {
    let both = "`setup.admin_password` and `setup.admin_password_file` are both set, the other at";
    let here = fixture("[setup]\nadmin_email = \"a@b.c\"\nadmin_password = \"one\"\nadmin_password_file = \"two\"\n");
    here.write("two", "two");
    assert_eq!(here.complaints(), [format!("config.toml:4:1: {both} config.toml:3:1: keep one of them")]);

    let apart = fixture("[setup]\nadmin_email = \"a@b.c\"\nadmin_password = \"one\"\n");
    let file = apart.write("two", "two");
    let apart = apart.with("STEADING_ADMIN_PASSWORD_FILE", &file.display().to_string());
    assert_eq!(apart.complaints(), [format!("STEADING_ADMIN_PASSWORD_FILE: {both} config.toml:3:1: keep one of them")]);
}

/// The environment has no order, so neither would win for a reason.
#[test]
fn two_variables_for_one_setting_are_refused_with_both_names() {
    let it = fixture("").with("STEADING_ADMIN_EMAIL", "a@b.c").with("STEADING__SETUP__ADMIN_EMAIL", "d@e.f");

    assert_eq!(
        it.complaints()[0],
        "STEADING__SETUP__ADMIN_EMAIL: `setup.admin_email` is set by STEADING_ADMIN_EMAIL too: keep one of them"
    );
}

/// Kubernetes makes such variables for every service, `steading` among them.
#[test]
fn variables_of_others_are_let_be() {
    let it = fixture("").with("STEADING_PORT", "tcp://10.0.0.1:8088").with("STEADING_SERVICE_HOST", "10.0.0.1");

    assert_eq!(it.load(), Config::default());
}

#[test]
fn dev_is_for_this_machine_only() {
    let mut it = fixture("[server]\nlisten = \"0.0.0.0:8088\"\n");
    it.sources.flags.dev = true;

    assert_eq!(it.complaints(), ["--dev: listens on loopback addresses only, not on 0.0.0.0:8088"]);
}

#[test]
fn dev_relaxes_and_takes_nothing_back() {
    let dev = |text: &str| {
        let mut it = fixture(text);
        it.sources.flags.dev = true;
        it.load()
    };
    let failures =
        |it: &Config| (it.accounts.sign_in_failures_per_account_max, it.accounts.sign_in_failures_per_address_max);

    let usual = dev("");
    assert_eq!((failures(&usual), usual.accounts.password_length_min_admin), ((1_000, 10_000), 8));
    assert_eq!((usual.log.format, usual.log.level.as_str()), (LogFormat::Text, "info,steading=debug"));
    let set = dev("[accounts]\npassword_length_min = 20\nsign_in_failures_per_account_max = 1\n\
         sign_in_failures_per_address_max = 500000\n[log]\nlevel = \"trace\"\nformat = \"json\"\n");
    assert_eq!((failures(&set), set.accounts.password_length_min_admin), ((100, 1_000_000), 15));
    assert_eq!((set.log.format, set.log.level.as_str()), (LogFormat::Json, "trace"));
}
