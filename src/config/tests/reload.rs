//! Settings that change while the server runs.
use std::time::{Duration, Instant};

use super::*;

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

#[test]
fn a_new_secret_alone_is_a_change() {
    let it = fixture("[setup]\nadmin_email = \"ada@example.com\"\nadmin_password = \"one\"\n");
    let live = Live::load(it.sources.clone()).expect("loaded");
    let old = live.get();

    it.write("config.toml", "[setup]\nadmin_email = \"ada@example.com\"\nadmin_password = \"two\"\n");
    live.reload().expect("no mistakes");

    assert_eq!(live.get().setup.admin_password.reveal(), "two");
    assert_eq!(live::changes(&old, &live.get()), ["setup.admin_password"]);
}

#[test]
fn a_change_of_any_setting_is_seen() {
    for (setting, new) in each_changed() {
        assert_eq!(live::changes(&Config::default(), &new), [setting]);
    }
}
