//! Settings that change while the server runs.
use std::sync::atomic::{AtomicBool, Ordering};
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

/// How long a test waits for the watch's own thread.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the settings in force have this grace.
fn wait_for_grace(live: &Live, secs: u64) {
    let until = Instant::now() + PATIENCE;
    while live.get().server.stop_grace_secs != secs {
        assert!(Instant::now() < until, "the change was not taken up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_changed_file_is_taken_up_while_running() {
    let it = fixture("[server]\nstop_grace_secs = 1\n");
    let live = Live::load(it.sources.clone()).expect("loaded");
    let _watch = live.watch().expect("watching");

    // As editors do: a new file in the place of the old one.
    let new = it.write("config.toml.new", "[server]\nstop_grace_secs = 5\n");
    std::fs::rename(new, it.folder.path().join("config.toml")).expect("replaced");

    wait_for_grace(&live, 5);
}

#[test]
fn a_folder_that_is_made_later_is_watched_too() {
    let it = fixture("");
    let live = Live::load(it.sources.clone()).expect("loaded");
    let _watch = live.watch().expect("watching");

    for secs in [5, 6] {
        it.write("conf.d/10.toml", &format!("[server]\nstop_grace_secs = {secs}\n"));
        wait_for_grace(&live, secs);
    }
    std::fs::remove_dir_all(it.folder.path().join("conf.d")).expect("removed");
    wait_for_grace(&live, 20);
    for secs in [7, 8] {
        it.write("conf.d/10.toml", &format!("[server]\nstop_grace_secs = {secs}\n"));
        wait_for_grace(&live, secs);
    }
}

/// A Kubernetes volume swaps one link for all its files at once.
#[test]
fn files_behind_a_link_that_is_swapped_are_taken_up() {
    let it = fixture("");
    it.write("one/config.toml", "[server]\nstop_grace_secs = 1\n");
    it.write("two/config.toml", "[server]\nstop_grace_secs = 2\n");
    let at = |name: &str| it.folder.path().join(name);
    std::fs::remove_file(at("config.toml")).expect("removed");
    std::os::unix::fs::symlink("one", at("..data")).expect("linked");
    std::os::unix::fs::symlink("..data/config.toml", at("config.toml")).expect("linked");
    let live = Live::load(it.sources.clone()).expect("loaded");
    let _watch = live.watch().expect("watching");

    std::os::unix::fs::symlink("two", at("..data_tmp")).expect("linked");
    std::fs::rename(at("..data_tmp"), at("..data")).expect("swapped");

    wait_for_grace(&live, 2);
}

/// Writes a file again and again while `body` runs, for at most as long as that waits.
fn while_busy(it: &Fixture, name: &str, body: impl FnOnce()) {
    let (done, until) = (AtomicBool::new(false), Instant::now() + PATIENCE);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && Instant::now() < until {
                it.write(name, "");
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        body();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_busy_folder_delays_no_change() {
    for busy in ["data.log", "conf.d/busy.toml"] {
        let it = fixture("");
        let live = Live::load(it.sources.clone()).expect("loaded");
        let _watch = live.watch().expect("watching");

        while_busy(&it, busy, || {
            it.write("config.toml", "[server]\nstop_grace_secs = 5\n");
            wait_for_grace(&live, 5);
        });
    }
}

#[test]
fn a_watch_that_is_dropped_leaves_nothing_behind() {
    let it = fixture("");
    let live = Live::load(it.sources.clone()).expect("loaded");
    let watch = live.watch().expect("watching");
    let config = live.get();

    drop(live);
    drop(watch);

    assert_eq!(Arc::strong_count(&config), 1);
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
