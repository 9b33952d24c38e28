//! What must not be lost when the worst happens: a kill, a full disk, a failing disk.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]
#![expect(clippy::print_stdout, reason = "how much was tried is worth a line")]

#[path = "../ask.rs"]
mod ask;
mod load;
mod power_loss;
mod records;
mod schema;
#[path = "../server.rs"]
mod server;
mod vfs;

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ask::ask;
use load::Load;
use records::Ledger;
use server::{Server, steading};

#[test]
fn what_was_acknowledged_survives_twenty_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut load = Load::new(8);
    for round in 0..20 {
        let mut server = Server::start(folder.path(), &[]);
        if round == 0 {
            assert!(server.greeting.contains("/setup#token="), "a fresh folder: {}", server.greeting);
            load.register(&server.url);
        }
        load.check(&server.url);

        // Not always at the same point of a group.
        load.run(&server.url, Duration::from_millis(120 + 17 * round), || {
            server.process.kill().expect("killed");
        });
        server.process.wait().expect("gone");
    }

    let server = Server::start(folder.path(), &[]);
    load.check(&server.url);
    drop(server);
    assert!(1_000 < load.acknowledged(), "only {} writes were acknowledged", load.acknowledged());
    println!("{} writes were acknowledged over 20 kills, and none was lost", load.acknowledged());
    assert!(steading(folder.path(), &["doctor"]).contains("every page and reference was looked at"));
}

/// Collections are tables that are made and changed while the server runs: what the catalogue says of them must hold.
#[test]
fn a_kill_in_the_middle_of_imports_and_changes_leaves_collections_and_records_in_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path(), &[]);
    let ledger = Ledger::begin(folder.path(), &server.url);
    for round in 0..10 {
        ledger.run(&server.url, round, Duration::from_millis(250 + 37 * u64::from(round)), || {
            server.process.kill().expect("killed");
        });
        server.process.wait().expect("gone");
        server = Server::start(folder.path(), &[]);
        ledger.check(&server.url);
    }
    drop(server);

    assert!(100 < ledger.acknowledged(), "only {} records were acknowledged", ledger.acknowledged());
    println!("{} records were acknowledged over 10 kills, and none was lost", ledger.acknowledged());
    assert!(steading(folder.path(), &["doctor"]).contains("every page and reference was looked at"));
}

/// A push changes eighty tables, their names, their indexes and what refers to what.
#[test]
fn a_kill_in_the_middle_of_a_push_leaves_all_of_it_or_nothing() {
    let folder = tempfile::tempdir().expect("a folder");

    let cut_short = schema::push_under_kills(folder.path(), 14);

    assert!(0 < cut_short, "no kill came before a push was through");
    println!("of 14 kills {cut_short} came before the push was through, and none left half of it");
    assert!(steading(folder.path(), &["doctor"]).contains("every page and reference was looked at"));
}

/// After a failed fsync the kernel may report success for what it dropped.
#[test]
fn a_failed_fsync_ends_the_process_without_a_false_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut load = Load::new(8);
    let mut server = Server::start(folder.path(), &[]);
    load.register(&server.url);
    let id = server.process.id().to_string();
    let inject = "inject=fsync,fdatasync:error=EIO:when=50+";
    let mut strace = Command::new("strace")
        .args(["-f", "-q", "-e", "trace=fsync,fdatasync", "-e", inject, "-o", "/dev/null", "-p", &id])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is installed (tests/run installs it)");

    load.run(&server.url, Duration::from_secs(30), || {});
    let status = server.process.wait().expect("ended by itself");
    strace.wait().expect("ended with it");

    assert_eq!(status.code(), Some(74), "{status:?}");
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(log.contains("the disk failed; stopping without answering"), "{log}");
    let server = Server::start(folder.path(), &[]);
    load.check(&server.url);
    println!("{} writes were acknowledged before the disk failed, and none was lost", load.acknowledged());
}

/// A small disk of its own, gone with the value. Not too small: with the reserve and the write-ahead log, a fast machine
/// fills 16 MiB in less than a second.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(folder.path()).status();
        assert!(mounted.expect("run").success(), "this test mounts a tmpfs, and must run as root");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills the disk but for `left` bytes. The server writes at the same time: where nothing shall be left, it may take
    /// what was asked for, and the disk is as full.
    fn fill(&self, left: u64) {
        let room = rustix::fs::statvfs(self.path()).expect("asked");
        let free = room.f_bavail * room.f_frsize;
        let size = usize::try_from(free.saturating_sub(left)).expect("small");
        let filler = File::options().create(true).append(true).open(self.path().join("filler"));
        match filler.and_then(|mut it| it.write_all(&vec![1; size])) {
            Err(error) if left == 0 && error.kind() == ErrorKind::StorageFull => {}
            done => done.expect("filled"),
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_nearly_full_disk_refuses_writes_and_lets_reading_and_signing_out_go_on() {
    let disk = SmallDisk::mount();
    let settings = [("STEADING__STORAGE__FREE_BYTES_MIN", "2000000")];
    let mut load = Load::new(4);
    let server = Server::start(disk.path(), &settings);
    load.register(&server.url);
    load.run(&server.url, Duration::from_millis(300), || {});

    disk.fill(1_000_000);
    let (token, out) = (load.token(0), load.token(1));
    // What the write-ahead log gives back is room too, and is used up first.
    let first = ask(&server.url, "PATCH", "/api/v1/auth/profile", &token, r#"{"name": "0"}"#).expect("answered");
    disk.fill(1_000_000);
    let write = ask(&server.url, "PATCH", "/api/v1/auth/profile", &token, r#"{"name": "1"}"#).expect("answered");
    let read = ask(&server.url, "GET", "/api/v1/auth/profile", &token, "").expect("answered");
    let sign_out = ask(&server.url, "POST", "/api/v1/auth/logout", &out, "").expect("answered");
    let signed_out = ask(&server.url, "GET", "/api/v1/auth/profile", &out, "").expect("answered");
    let ready = ask(&server.url, "GET", "/health/ready", "", "").expect("answered");

    assert!(write.0 == 507 && write.1.contains("storage-full"), "{first:?} {write:?}");
    assert_eq!((read.0, sign_out.0, signed_out.0, ready.0), (200, 204, 401, 503));
    disk.empty();
    load.forget(1);
    load.run(&server.url, Duration::from_millis(300), || {});
    load.check(&server.url);
}

/// The way out of a full disk leads through the server: signing in, closing what fills it, and deleting. What was
/// deleted is room again, although the file does not shrink.
#[test]
fn whoever_frees_room_on_a_nearly_full_disk_can_write_again() {
    let disk = SmallDisk::mount();
    let settings = [("STEADING__STORAGE__FREE_BYTES_MIN", "4000000")];
    let mut server = Server::start(disk.path(), &settings);
    Ledger::begin(disk.path(), &server.url);
    let admin = records::sign_in(&server.url);
    let word = |lemma: &str| serde_json::json!({ "lemma": format!("{lemma}{}", "x".repeat(50_000)) });
    let url = server.url.clone();
    let made = |lemma: &str| records::post(&url, "/words/records", &admin, &word(lemma)).expect("answered");
    let ids: Vec<String> = (0..20)
        .map(|number| {
            let made: serde_json::Value = serde_json::from_str(&made(&number.to_string()).1).expect("JSON");
            made["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    let spare = serde_json::json!({ "name": "spare", "fields": [] });
    assert_eq!(records::post(&server.url, "", &admin, &spare).expect("answered").0, 201);
    // Stopped in order, so that the write-ahead log is in the file.
    let pid = server.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("run").success());
    assert!(server.process.wait().expect("ended").success());
    let server = Server::start(disk.path(), &settings);
    let made = |lemma: &str| records::post(&server.url, "/words/records", &admin, &word(lemma)).expect("answered");
    disk.fill(3_500_000);
    assert_eq!(made("refused").0, 507);

    let admin = records::sign_in(&server.url);
    let call = |method: &str, path: &str, body: &str| {
        let answer = ask(&server.url, method, &format!("/api/v1/collections/{path}"), &admin, body).expect("answered");
        assert!(answer.0 < 300, "{method} {path}: {answer:?}");
    };
    call("PATCH", "words", r#"{"rules": {"list": "auth.signedIn"}}"#);
    call("DELETE", "spare", "");
    for id in &ids {
        call("DELETE", &format!("words/records/{id}"), "");
    }

    let ready = || ask(&server.url, "GET", "/health/ready", "", "").expect("answered").0;
    assert_eq!(made("taken").0, 201);
    assert_eq!(ready(), 200);
}

/// Without a reserve, SQLite itself runs out of room in the middle of a write. The log is on
/// the same disk, and loses lines instead of requests.
#[test]
fn a_full_disk_in_the_middle_of_writes_loses_nothing_that_was_acknowledged() {
    let disk = SmallDisk::mount();
    let settings = [("STEADING__STORAGE__FREE_BYTES_MIN", "0")];
    let mut load = Load::new(4);
    let mut server = Server::start(disk.path(), &settings);
    load.register(&server.url);
    disk.fill(300_000);

    let began = Instant::now();
    load.run(&server.url, Duration::from_secs(3), || {});
    assert!(began.elapsed() < Duration::from_secs(20), "nothing hangs");

    if let Some(status) = server.process.try_wait().expect("asked") {
        // An I/O error instead of a full disk: it stops rather than guess.
        let log = std::fs::read_to_string(disk.path().join("log")).unwrap_or_default();
        assert_eq!(status.code(), Some(74), "{log}");
        disk.empty();
        server = Server::start(disk.path(), &settings);
    } else {
        assert!(0 < load.refused(), "the disk was never full");
        // A client stops when it gets no answer.
        assert!(Duration::from_secs(3) <= began.elapsed(), "requests were lost instead of refused");
        disk.empty();
    }
    load.check(&server.url);
    let before = load.acknowledged();
    load.run(&server.url, Duration::from_millis(500), || {});
    assert!(before < load.acknowledged(), "with room again, writes go on");
    drop(server);
    let server = Server::start(disk.path(), &settings);
    load.check(&server.url);
}

fn refresh_token(url: &str, email: &str) -> String {
    let body = serde_json::json!({ "email": email, "password": "correct horse" }).to_string();
    let (status, text) = ask(url, "POST", "/api/v1/auth/login", "", &body).expect("answered");
    assert_eq!(status, 200, "{text}");
    records::read(&text)["refreshToken"].as_str().expect("a token").to_owned()
}

/// Whoever is told to delete something must be able to, even if nothing at all was kept free.
#[test]
fn on_a_disk_that_is_really_full_deleting_and_signing_out_still_work() {
    let disk = SmallDisk::mount();
    let settings = [("STEADING__STORAGE__FREE_BYTES_MIN", "0")];
    let mut load = Load::new(4);
    let mut server = Server::start(disk.path(), &settings);
    load.register(&server.url);
    load.run(&server.url, Duration::from_millis(300), || {});
    Ledger::begin(disk.path(), &server.url);
    let admin = records::sign_in(&server.url);
    let ids = ["one", "two"].map(|lemma| {
        let made = records::post(&server.url, "/words/records", &admin, &serde_json::json!({ "lemma": lemma }));
        let made: serde_json::Value = serde_json::from_str(&made.expect("answered").1).expect("JSON");
        made["id"].as_str().expect("an id").to_owned()
    });
    disk.fill(0);
    // Until the log of what was written before has no room left either.
    load.run(&server.url, Duration::from_secs(5), || {});
    assert!(0 < load.refused(), "the disk was never full");
    disk.fill(0);
    // Who stays signed in writes too, and must not use up what others need to make room.
    let mut refresh = refresh_token(&server.url, "c3@example.com");
    for _ in 0..1_500 {
        let body = serde_json::json!({ "refreshToken": refresh }).to_string();
        let (status, text) = ask(&server.url, "POST", "/api/v1/auth/refresh", "", &body).expect("answered");
        assert_eq!(status, 200, "{text}");
        refresh = records::read(&text)["refreshToken"].as_str().expect("a token").to_owned();
    }

    for restarts in [false, true] {
        if restarts {
            server.process.kill().expect("killed");
            server.process.wait().expect("gone");
            server = Server::start(disk.path(), &settings);
        }
        let out = load.token(usize::from(restarts));
        let record = format!("/api/v1/collections/words/records/{}", ids[usize::from(restarts)]);
        let delete = ask(&server.url, "DELETE", &record, &admin, "").expect("answered");
        let deleted = ask(&server.url, "GET", &record, &admin, "").expect("answered");
        let sign_out = ask(&server.url, "POST", "/api/v1/auth/logout", &out, "").expect("answered");
        let signed_out = ask(&server.url, "GET", "/api/v1/auth/profile", &out, "").expect("answered");

        assert_eq!((delete.0, deleted.0), (204, 404), "{delete:?}");
        assert_eq!((sign_out.0, signed_out.0), (204, 401), "{sign_out:?}");
        // What the write-ahead log gave back is for anyone; the reserve is not for writes.
        let reserved = || std::fs::metadata(disk.path().join("data/reserve")).map_or(0, |it| it.len());
        let before = reserved();
        let write = ask(&server.url, "PATCH", "/api/v1/auth/profile", &load.token(2), r#"{"name": "1"}"#);
        let status = write.expect("answered").0;
        assert!(status == 507 || (status == 200 && before == 4 << 20), "{status} with {before} bytes in reserve");
        assert_eq!(reserved(), before, "the reserve is not for writes");
    }
    disk.empty();
    let write = ask(&server.url, "PATCH", "/api/v1/auth/profile", &load.token(2), r#"{"name": "1"}"#);
    assert_eq!(write.expect("answered").0, 200, "with room again, writes go on");
    assert_eq!(std::fs::metadata(disk.path().join("data/reserve")).map_or(0, |it| it.len()), 4 << 20);
}

/// Whoever lacks room must be able to restart, sign in, and delete something.
#[test]
fn a_nearly_full_disk_does_not_keep_the_server_from_starting() {
    let disk = SmallDisk::mount();
    let settings = [
        ("STEADING__STORAGE__FREE_BYTES_MIN", "2000000"),
        ("STEADING__SETUP__ADMIN_EMAIL", "root@example.com"),
        ("STEADING__SETUP__ADMIN_PASSWORD", "correct horse battery"),
    ];
    let mut load = Load::new(1);
    let mut server = Server::start(disk.path(), &settings);
    load.register(&server.url);
    server.process.kill().expect("killed");
    server.process.wait().expect("gone");
    disk.fill(1_000_000);

    let server = Server::start(disk.path(), &settings);

    let ready = ask(&server.url, "GET", "/health/ready", "", "").expect("answered");
    assert_eq!(ready.0, 503, "it is known from the first moment: {ready:?}");
    load.check(&server.url);
}

/// After a power cut a file is found only if every folder above it was synced too.
#[test]
fn a_new_folder_is_on_the_disk_before_anything_is_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().canonicalize().expect("there");
    let trace = path.join("trace");
    let ran = Command::new("strace")
        .args(["-f", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&trace)
        .args([env!("CARGO_BIN_EXE_steading"), "admin", "link"])
        .current_dir(&path)
        .output()
        .expect("strace is installed (tests/run installs it)");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));

    let synced = std::fs::read_to_string(&trace).expect("a trace");
    for made_in in ["", "/data", "/data/tenants", "/data/tenants/main"] {
        let made_in = format!("<{}{made_in}>", path.display());
        assert!(synced.contains(&made_in), "{made_in} was not synced: {synced}");
    }
}
