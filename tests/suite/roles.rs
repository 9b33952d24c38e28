//! The command line, as an operator types it, with the real binary on a real folder.
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ask::ask;
use crate::server::{Server, command, steading};

/// Runs a role that must fail, and returns all that it said.
fn refused(folder: &Path, args: &[&str]) -> String {
    let ran = command(folder, args).output().expect("run");
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(!ran.status.success(), "{args:?}: {said}");
    said
}

/// Tells the server to stop.
fn tell_to_stop(server: &Server) {
    let id = i32::try_from(server.process.id()).expect("an id");
    let pid = rustix::process::Pid::from_raw(id).expect("an id");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
}

/// Tells the server to stop, and waits until it did.
fn stop(mut server: Server) {
    tell_to_stop(&server);
    assert!(server.process.wait().expect("ended").success());
}

/// Head and body of what a server answers on a connection of its own.
fn get(server: &Server, path: &str) -> std::io::Result<String> {
    let address = server.url.trim_start_matches("http://");
    let mut connection = std::net::TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    std::io::read_to_string(connection)
}

/// How long a test waits for what should come at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the server says that it is stopping.
fn wait_until_stopping(server: &Server) {
    let until = Instant::now() + PATIENCE;
    loop {
        let ready = get(server, "/health/ready").expect("it is served as long as the delay lasts");
        if ready.starts_with("HTTP/1.1 503 ") {
            return assert!(ready.ends_with("{\"status\":\"stopping\"}"), "{ready}");
        }
        assert!(Instant::now() < until, "{ready}");
    }
}

#[test]
fn an_empty_folder_is_enough_and_the_greeting_has_all_one_needs() {
    let folder = tempfile::tempdir().expect("a folder");

    let server = Server::start(folder.path(), &[]);

    for part in ["Steading 0.", "/api/v1", "/api-docs", "listens", &format!("{}/setup#token=setup_", server.url)] {
        assert!(server.greeting.contains(part), "{part} is not in {}", server.greeting);
    }
    assert!(steading(folder.path(), &["health"]).contains("ok"));
    stop(server);
    assert!(refused(folder.path(), &["health"]).contains("stopped"));
}

/// A load balancer needs a moment to notice; until then it sends people here.
#[test]
fn requests_are_served_while_the_stop_is_delayed_and_the_end_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path(), &[("STEADING__SERVER__STOP_DELAY_SECS", "2")]);
    assert!(get(&server, "/health/ready").expect("served").starts_with("HTTP/1.1 200 "));

    let told = Instant::now();
    tell_to_stop(&server);
    wait_until_stopping(&server);

    for (path, status) in [("/health/live", "200"), ("/api/v1/auth/profile", "401"), ("/api-docs", "200")] {
        let answer = get(&server, path).expect("served");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    let ended = server.process.wait().expect("ended");
    let took = told.elapsed();
    assert!(ended.success(), "{ended:?}");
    assert!((Duration::from_secs(2)..PATIENCE).contains(&took), "{took:?}");
    assert!(get(&server, "/health/live").is_err(), "nobody listens any more");
}

/// Whoever asks twice wants no delay. That it is no orderly end is told by the exit code.
#[test]
fn a_second_word_to_stop_ends_the_delay_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path(), &[("STEADING__SERVER__STOP_DELAY_SECS", "600")]);
    tell_to_stop(&server);
    wait_until_stopping(&server);

    let told = Instant::now();
    tell_to_stop(&server);

    assert_eq!(server.process.wait().expect("ended").code(), Some(130));
    assert!(told.elapsed() < PATIENCE);
    stop(Server::start(folder.path(), &[]));
}

#[test]
fn roles_work_with_the_server_running_and_with_it_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let create =
        |email, role| ["admin", "create", "--email", email, "--password", "correct horse battery", "--role", role];

    let stopped = steading(folder.path(), &create("ada@example.com", "admin"));
    assert!(stopped.contains(&format!("in {}, which no server uses", folder.path().join("data").display())));
    let server = Server::start(folder.path(), &[]);
    assert!(!server.greeting.contains("setup"), "there is an admin already: {}", server.greeting);
    assert!(!steading(folder.path(), &create("bob@example.com", "user")).contains("no server"));
    let again = refused(folder.path(), &create("ADA@example.com", "admin"));
    assert!(again.contains("there is an account with this address"), "{again}");
    assert!(steading(folder.path(), &["admin", "link"]).contains("/setup#token=setup_"));
    assert!(steading(folder.path(), &["doctor"]).contains("the server is running"));
    let second = refused(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert!(second.contains("another Steading uses the folder"), "{second}");
    stop(server);

    assert!(steading(folder.path(), &["doctor"]).contains("every page and reference was looked at"));
    assert!(steading(folder.path(), &["openapi"]).contains("\"openapi\": \"3.0.3\""));
    assert!(steading(folder.path(), &["migrate"]).contains("is at version"));
    assert!(steading(folder.path(), &["completions", "bash"]).contains("complete"));
}

/// With a key of the command line a program calls the server that runs, and what is no permission makes none.
#[test]
fn the_command_line_makes_api_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let create = ["admin", "key", "create", "--name", "Nightly", "--scope", "users:read", "--scope", "records:read"];

    let said = steading(folder.path(), &create);

    let secret = said.lines().next().expect("a line");
    assert!(secret.starts_with("sk_live_") && said.contains("is shown this once"), "{said}");
    let status = |key: &str, path: &str| ask(&server.url, "GET", path, key, "").expect("an answer").0;
    assert_eq!((status(secret, "/api/v1/admin/users"), status(secret, "/api/v1/admin/roles")), (200, 403));
    let wrong = refused(folder.path(), &["admin", "key", "create", "--name", "x", "--scope", "users:everything"]);
    assert!(wrong.contains("scopes/0"), "{wrong}");
    refused(folder.path(), &["admin", "key", "create", "--name", "x"]);
    refused(folder.path(), &["--data", "nowhere", "admin", "key", "create", "--name", "x", "--scope", "users:read"]);
}

#[test]
fn a_mistake_in_the_settings_names_file_line_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.toml"), "[server]\nlisen = \"127.0.0.1:1\"\n").expect("written");

    let said = refused(folder.path(), &["serve"]);

    assert!(said.contains("config.toml:2:1: `server.lisen` is not a setting; did you mean `listen`?"), "{said}");
    assert!(refused(folder.path(), &["doctor"]).contains("WRONG settings"));
}

#[test]
fn a_folder_that_cannot_be_made_is_told_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("data"), "a file in the way").expect("written");

    let said = refused(folder.path(), &["serve"]);

    assert!(said.contains("cannot reach data") && said.contains("move that away"), "{said}");
    let doctor = refused(folder.path(), &["doctor"]);
    assert!(doctor.contains("WRONG folder") && doctor.contains("move that away"), "{doctor}");
    std::fs::remove_file(folder.path().join("data")).expect("removed");
    std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join("data")).expect("linked");
    for role in ["serve", "doctor"] {
        let said = refused(folder.path(), &[role]);
        assert!(said.contains("a link that leads nowhere"), "{role}: {said}");
    }
}

/// The folder of another user, as after a first start with `sudo`.
#[test]
fn a_folder_of_another_user_is_told_with_whose_it_is() {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        return; // nobody else can become somebody else
    }
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("set");
    let binary = folder.path().join("steading");
    std::fs::copy(env!("CARGO_BIN_EXE_steading"), &binary).expect("copied");
    steading(folder.path(), &["admin", "link"]);

    for role in [&["serve"][..], &["doctor"], &["admin", "link"], &["--data", "new", "serve"]] {
        let mut other = Command::new(&binary);
        let ran = other.current_dir(folder.path()).args(role).uid(65_534).gid(65_534).output().expect("run");
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        let what = if role.contains(&"new") { "install -d -m 700 -o 65534 new" } else { "chown -R 65534 data" };
        assert!(!ran.status.success() && said.contains("belongs to user 0") && said.contains(what), "{role:?}: {said}");
    }
}

/// What went wrong is half of what an operator needs to know.
#[test]
fn an_address_that_cannot_be_listened_at_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("an address").port();

    for host in ["127.0.0.1", "localhost"] {
        let said = refused(folder.path(), &["serve", "--listen", &format!("{host}:{port}")]);
        assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")) && said.contains("--listen"), "{said}");
    }
    let said = refused(folder.path(), &["serve", "--listen", "example.com:80"]);
    assert!(said.contains("such as 127.0.0.1:8088"), "{said}");
}

/// The signing keys are in there.
#[test]
fn data_that_others_may_read_is_told_at_the_start_and_by_the_doctor() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    stop(Server::start(folder.path(), &[]));
    assert!(steading(folder.path(), &["doctor"]).contains("ok    rights"));
    let keys = folder.path().join("data/system.db");
    std::fs::set_permissions(keys, std::fs::Permissions::from_mode(0o644)).expect("set");

    let doctor = refused(folder.path(), &["doctor"]);
    stop(Server::start(folder.path(), &[]));

    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    for said in [doctor, log] {
        assert!(said.contains("data/system.db") && said.contains("chmod -R go= data"), "{said}");
    }
}

/// A mistyped `--data` must not leave a new folder behind.
#[test]
fn there_must_be_something_to_migrate() {
    let folder = tempfile::tempdir().expect("a folder");

    let said = refused(folder.path(), &["--data", "dta", "migrate"]);

    assert!(said.contains("there is no data folder `dta` here"), "{said}");
    assert!(!folder.path().join("dta").exists());
}

/// With several files, that one of them is damaged is little to go by.
#[test]
fn a_damaged_page_is_told_with_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    stop(Server::start(folder.path(), &[]));
    let file = folder.path().join("data/system.db");
    let mut bytes = std::fs::read(&file).expect("read");
    bytes[4_096..].fill(0xa5);
    std::fs::write(&file, bytes).expect("written");

    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["doctor"]] {
        let said = refused(folder.path(), args);
        assert!(said.contains("data/system.db") && said.contains("restore a backup"), "{args:?}: {said}");
    }
}

#[test]
fn the_admin_of_the_environment_is_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("password"), "correct horse battery\n").expect("written");
    let environment = [("STEADING_ADMIN_EMAIL", "ada@example.com"), ("STEADING_ADMIN_PASSWORD_FILE", "password")];

    for _ in 0..2 {
        let server = Server::start(folder.path(), &environment);
        assert!(!server.greeting.contains("setup"), "{}", server.greeting);
        stop(server);
    }
}

/// As `steading openapi | head` does.
#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    for role in [&["openapi"][..], &["completions", "bash"], &["doctor"], &["admin", "link"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);

        let ran = command(folder.path(), role).stdout(writer).output().expect("run");

        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.is_empty(), "{role:?}: {:?} {said}", ran.status);
    }
}

/// Half a document that looks whole would be taken for one.
#[test]
fn what_could_not_be_written_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    for role in ["openapi", "doctor"] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("opened");

        let ran = command(folder.path(), &[role]).stdout(full).output().expect("run");

        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(1) && said.contains("cannot write"), "{role}: {:?} {said}", ran.status);
    }
}

/// One address may have many connections. Files that cannot be opened any more would be everybody's trouble.
#[test]
fn connections_leave_descriptors_for_files_and_for_the_operator() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Command::new("sh");
    serve.current_dir(folder.path()).args(["-c", "ulimit -n 256; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_steading")]);
    let server = Server::run(folder.path(), serve.args(["serve", "--listen", "127.0.0.1:0"]));
    let address = server.url.trim_start_matches("http://");

    let held: Vec<_> = (0..128).map(|_| std::net::TcpStream::connect(address).expect("connected")).collect();
    let until = Instant::now() + PATIENCE;
    let refused = loop {
        let answer = get(&server, "/health/live").unwrap_or_default();
        if answer.starts_with("HTTP/1.1 503 ") || until < Instant::now() {
            break answer;
        }
    };

    assert!(refused.contains("too many connections"), "{refused}");
    assert!(steading(folder.path(), &["health"]).contains("ok"));
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(log.contains("allows fewer connections than the settings") && !log.contains("cannot accept"), "{log}");
    drop(held);
    stop(server);
}

/// A mistyped `--data` must not leave a second, empty server behind.
#[test]
fn looking_makes_no_data_folder() {
    let folder = tempfile::tempdir().expect("a folder");

    let doctor = steading(folder.path(), &["doctor"]);
    let document = steading(folder.path(), &["openapi"]);
    refused(folder.path(), &["health"]);

    assert!(doctor.contains("there is no folder data yet"), "{doctor}");
    assert!(document.contains("\"operationId\": \"login\""));
    assert!(!folder.path().join("data").exists());
}

/// It is for the first start. Later, people may have good reasons for other admins.
#[test]
fn the_admin_of_the_environment_is_not_made_beside_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = ["--password", "correct horse battery"];
    let create = |email| [&["admin", "create", "--email", email][..], &password].concat();
    steading(folder.path(), &create("bob@example.com"));
    let environment =
        [("STEADING_ADMIN_EMAIL", "ada@example.com"), ("STEADING_ADMIN_PASSWORD", "correct horse battery")];

    stop(Server::start(folder.path(), &environment));

    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(log.contains("was not made: there is another already"), "{log}");
    let made = steading(folder.path(), &create("ada@example.com"));
    assert!(made.contains("made admin ada@example.com"), "there was none yet: {made}");
}

/// Someone else may have taken the address of an admin who is not there yet.
#[test]
fn an_address_that_is_taken_by_someone_else_is_told_when_it_should_be_the_admins() {
    let folder = tempfile::tempdir().expect("a folder");
    let (email, password) = ("ada@example.com", "correct horse battery");
    steading(folder.path(), &["admin", "create", "--email", email, "--password", password, "--role", "user"]);

    let environment = [("STEADING_ADMIN_EMAIL", email), ("STEADING_ADMIN_PASSWORD", password)];
    let server = Server::start(folder.path(), &environment);

    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(log.contains("the admin of the settings was not made"), "{log}");
    assert!(server.greeting.contains("/setup#token="), "there is still no admin: {}", server.greeting);
}

#[test]
fn a_refused_admin_of_the_environment_is_told_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    serve.env("STEADING_ADMIN_EMAIL", "ada@example.com").env("STEADING_ADMIN_PASSWORD", "short");

    let ran = serve.output().expect("run");

    let said = String::from_utf8_lossy(&ran.stderr);
    let words = "steading: the settings have mistakes:\n\
                 STEADING_ADMIN_PASSWORD: `setup.admin_password` must be at least 15 characters long\n";
    assert!(said.ends_with(words), "{said}");
    assert!(!ran.status.success());
}

/// An admin, and a collection `words` of theirs, in a folder whose server runs.
fn make_words(folder: &Path, server: &Server) {
    let (email, password) = ("ada@example.com", "correct horse battery");
    steading(folder, &["admin", "create", "--email", email, "--password", password]);
    let post = |path, token: &str, body: Value| {
        let (status, reply) = ask(&server.url, "POST", path, token, &body.to_string()).expect("an answer");
        assert!(status < 300, "{reply}");
        serde_json::from_str::<Value>(&reply).expect("JSON")
    };
    let signed_in = post("/api/v1/auth/login", "", json!({ "email": email, "password": password }));
    let fields = json!([{ "name": "lemma", "type": "text", "required": true }, { "name": "uses", "type": "integer" }]);
    let words = json!({ "name": "words", "fields": fields });
    post("/api/v1/collections", signed_in["accessToken"].as_str().expect("a token"), words);
}

#[test]
fn records_come_in_and_go_out_with_the_server_running_and_with_it_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let server = Server::start(folder.path(), &[]);
    make_words(folder.path(), &server);
    std::fs::write(at("words.csv"), "lemma,uses\r\nlight,7\r\n\"dark, or not\",\r\n").expect("written");
    std::fs::write(at("more"), "{\"lemma\": \"stone\"}\n{\"uses\": 1}\n{\"lemma\": \"water\", \"uses\": \"x\"}\n")
        .expect("written");

    let dry = steading(folder.path(), &["import", "words", "words.csv", "--dry-run"]);
    let whole = steading(folder.path(), &["import", "words", "words.csv"]);
    stop(server);
    let partly = refused(folder.path(), &["import", "words", "more"]);

    assert!(dry.contains("2 would be imported, 0 refused"), "{dry}");
    assert!(whole.contains("2 imported, 0 refused"), "{whole}");
    for part in ["record 2, line 2: lemma", "record 3, line 3: uses", "1 imported, 2 refused"] {
        assert!(partly.contains(part), "{part} is not in {partly}");
    }
    let exported = steading(folder.path(), &["export", "words", "--format", "csv", "--filter", "uses != null"]);
    assert!(exported.contains(",light,7\n") && !exported.contains("stone"), "{exported}");
    std::fs::write(at("out.json"), "what was there").expect("written");
    let wrong = refused(folder.path(), &["export", "words", "out.json", "--filter", "uses >"]);
    assert!(wrong.contains("filter"), "{wrong}");
    assert_eq!(std::fs::read_to_string(at("out.json")).expect("there"), "what was there");
    steading(folder.path(), &["export", "words", "out.json"]);
    let written: Value = serde_json::from_slice(&std::fs::read(at("out.json")).expect("there")).expect("JSON");
    assert_eq!(written.as_array().map(Vec::len), Some(3));
    assert!(!at("out.json.part").exists());
}

#[test]
fn what_keeps_records_from_coming_in_and_going_out_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    make_words(folder.path(), &server);
    std::fs::write(folder.path().join("words.ndjson"), "{\"lemma\": \"light\"}\n".repeat(100_000)).expect("written");

    for (args, expected) in [
        (["import", "nothing", "words.ndjson"], "there is no collection `nothing`"),
        (["import", "../users", "words.ndjson"], "there is no collection"),
        (["import", "words", "nothing.csv"], "cannot read nothing.csv"),
        (["import", "words", "data"], "data is a folder"),
        (["export", "nothing", "out.json"], "there is no collection `nothing`"),
        (["export", "words", "nowhere/out.json"], "cannot write nowhere/out.json"),
    ] {
        let said = refused(folder.path(), &args);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    assert!(!folder.path().join("out.json").exists());
    let empty = tempfile::tempdir().expect("a folder");
    for args in [["import", "words", "-"], ["export", "words", "out.json"]] {
        assert!(refused(empty.path(), &args).contains("there is no data folder `data` here"));
    }
    assert!(!empty.path().join("data").exists(), "a folder was made where nobody wanted one");
}

/// So does a mistyped password or address: nothing was made, so nothing is left.
#[test]
fn an_admin_that_is_refused_leaves_no_data_folder() {
    let folder = tempfile::tempdir().expect("a folder");

    let said = refused(folder.path(), &["admin", "create", "--email", "ada@example.com", "--password", "short"]);
    refused(folder.path(), &["admin", "create", "--email", "ada@example.com", "--password-file", "not-there"]);

    assert!(said.contains("password must be at least 15 characters long"), "{said}");
    assert!(!folder.path().join("data").exists());
}

#[test]
fn the_socket_of_a_server_that_died_is_removed_by_whoever_has_the_folder_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path(), &[]);
    let socket = folder.path().join("data/steading.sock");
    server.process.kill().expect("killed");
    server.process.wait().expect("ended");
    assert!(socket.exists());

    steading(folder.path(), &["migrate"]);

    assert!(!socket.exists());
}

/// With several folders, as backups have them, the name alone does not say which file it is.
#[test]
fn a_file_that_cannot_be_used_is_named_with_its_path() {
    let folder = tempfile::tempdir().expect("a folder");
    stop(Server::start(folder.path(), &[]));
    let file = folder.path().join("data/tenants/main/records.db");
    std::fs::write(&file, "These are my notes, not a database. ".repeat(200)).expect("written");

    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["doctor"]] {
        let said = refused(folder.path(), args);
        assert!(said.contains("cannot open data/tenants/main/records.db: the database file is damaged"), "{said}");
        assert!(args[0] != "doctor" || said.contains("restore a backup"), "{said}");
    }
}

/// Whoever sends the signal wants to know what came of it.
#[test]
fn sighup_is_logged_with_what_changed_or_that_nothing_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let id = i32::try_from(server.process.id()).expect("an id");
    let pid = rustix::process::Pid::from_raw(id).expect("an id");

    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("told");

    let until = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(folder.path().join("log")).expect("a log").contains("no setting has changed") {
        assert!(Instant::now() < until, "nothing was logged");
        std::thread::sleep(Duration::from_millis(20));
    }
    stop(server);
}

/// A copy back that stopped half-way, or a disk that is not mounted, must not look like a new server.
#[test]
fn a_database_that_was_there_is_not_begun_anew() {
    for (file, others) in [("tenants/main/records.db", "system.db"), ("system.db", "tenants/main/records.db")] {
        for empties in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let at = |name: &str| folder.path().join("data").join(name);
            stop(Server::start(folder.path(), &[]));
            let before = std::fs::read(at(others)).expect("there");
            if empties {
                std::fs::write(at(file), b"").expect("emptied");
            } else {
                std::fs::remove_file(at(file)).expect("removed");
            }

            for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["doctor"], &["admin", "link"]] {
                let said = refused(folder.path(), args);
                assert!(said.contains(file) && said.contains("is missing or empty"), "{args:?}: {said}");
            }
            assert!(!at(file).exists() || at(file).metadata().expect("there").len() == 0, "{file} was made anew");
            assert_eq!(std::fs::read(at(others)).expect("there"), before);
        }
    }
}
