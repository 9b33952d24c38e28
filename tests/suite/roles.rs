//! The command line, as an operator types it, with the real binary on a real folder.
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn steading(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().expect("run")
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steading"));
    command.current_dir(folder).args(args).env("STEADING__ACCOUNTS__HASH_MEMORY_KIB", "8192");
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A server on a port that the system chose.
struct Server {
    process: Child,
    greeting: String,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut process = command(folder, &["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut greeting = String::new();
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        for line in lines.by_ref().take(5) {
            greeting.push_str(&line.expect("a line"));
            greeting.push('\n');
            if greeting.contains("  listens") {
                break;
            }
        }
        Self { process, greeting }
    }

    fn stop(mut self) -> std::process::ExitStatus {
        let id = i32::try_from(self.process.id()).expect("an id");
        let pid = rustix::process::Pid::from_raw(id).expect("an id");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
        self.process.wait().expect("ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_empty_folder_is_enough_and_the_greeting_has_all_one_needs() {
    let folder = tempfile::tempdir().expect("a folder");

    let server = Server::start(folder.path());

    for part in ["Steading 0.", "/api/v1", "/api-docs", "listens", "/setup#token=setup_"] {
        assert!(server.greeting.contains(part), "{part} is not in {}", server.greeting);
    }
    assert!(text(&steading(folder.path(), &["health"])).contains("ok"));
    assert!(server.stop().success());
    assert!(!steading(folder.path(), &["health"]).status.success());
}

#[test]
fn roles_work_with_the_server_running_and_with_it_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let create = |email: &str, role: &str| {
        let args = ["admin", "create", "--email", email, "--password", "correct horse battery", "--role", role];
        steading(folder.path(), &args)
    };

    let stopped = create("ada@example.com", "admin");
    assert!(stopped.status.success(), "{}", text(&stopped));
    let server = Server::start(folder.path());
    assert!(!server.greeting.contains("setup"), "there is an admin already: {}", server.greeting);
    let running = create("bob@example.com", "user");
    assert!(running.status.success(), "{}", text(&running));
    let again = create("ADA@example.com", "admin");
    assert!(!again.status.success() && text(&again).contains("there is an account with this address"));
    let link = steading(folder.path(), &["admin", "link"]);
    assert!(text(&link).contains("/setup#token=setup_"));
    assert!(steading(folder.path(), &["doctor"]).status.success());
    let second = steading(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert!(
        !second.status.success() && text(&second).contains("another Steading uses the folder"),
        "{}",
        text(&second)
    );
    assert!(server.stop().success());

    let doctor = steading(folder.path(), &["doctor"]);
    assert!(
        doctor.status.success() && text(&doctor).contains("every page and reference was looked at"),
        "{}",
        text(&doctor)
    );
    assert!(text(&steading(folder.path(), &["openapi"])).contains("\"openapi\": \"3.0.3\""));
    assert!(text(&steading(folder.path(), &["migrate"])).contains("is at version"));
    assert!(text(&steading(folder.path(), &["completions", "bash"])).contains("complete"));
}

#[test]
fn a_mistake_in_the_settings_names_file_line_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.toml"), "[server]\nlisen = \"127.0.0.1:1\"\n").expect("written");

    let output = steading(folder.path(), &["serve"]);

    assert!(!output.status.success());
    assert!(
        text(&output).contains("config.toml:2:1: `server.lisen` is not a setting; did you mean `listen`?"),
        "{}",
        text(&output)
    );
    assert!(text(&steading(folder.path(), &["doctor"])).contains("WRONG settings"));
}

#[test]
fn a_folder_that_cannot_be_made_is_told_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("data"), "a file in the way").expect("written");

    let output = steading(folder.path(), &["serve"]);

    assert!(!output.status.success() && text(&output).contains("cannot reach data"), "{}", text(&output));
    assert!(text(&steading(folder.path(), &["doctor"])).contains("WRONG folder"));
}

#[test]
fn the_admin_of_the_environment_is_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("password"), "correct horse battery\n").expect("written");
    let start = || {
        let mut serve = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
        serve.env("STEADING_ADMIN_EMAIL", "ada@example.com").env("STEADING_ADMIN_PASSWORD_FILE", "password");
        let mut process = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let greeting: Vec<_> = lines.take(3).map(|it| it.expect("a line")).collect();
        Server { process, greeting: greeting.join("\n") }
    };

    for _ in 0..2 {
        let server = start();
        assert!(server.greeting.contains("listens") && !server.greeting.contains("setup"), "{}", server.greeting);
        assert!(server.stop().success());
    }
}
