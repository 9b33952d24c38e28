//! The real server in a folder, as its own process. Shared by the tests that need one.
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server on a port that the system chose. Killed when dropped.
pub struct Server {
    pub url: String,
    /// All that it said before it was ready.
    pub greeting: String,
    pub process: Child,
}

impl Server {
    /// Starts a server on the folder `data` in `folder`, with `settings` from the environment.
    pub fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        Self::run(folder, command(folder, &["serve", "--listen", "127.0.0.1:0"]).envs(settings.iter().copied()))
    }

    /// Starts a server as `serve` says, with its log in `folder`.
    pub fn run(folder: &Path, serve: &mut Command) -> Self {
        let mut process = serve
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join("log")).expect("a log"))
            .spawn()
            .expect("started");
        let (mut url, mut greeting) = (String::new(), String::new());
        for line in BufReader::new(process.stdout.take().expect("piped")).lines() {
            let line = line.expect("a line");
            greeting.push_str(&line);
            greeting.push('\n');
            if let Some(address) = line.trim_start().strip_prefix("listens") {
                url = format!("http://{}", address.split_whitespace().next().unwrap_or_default());
                break;
            }
        }
        assert!(!url.is_empty(), "{}", std::fs::read_to_string(folder.join("log")).unwrap_or_default());
        assert!(greeting.starts_with("Steading "), "{greeting}");
        Self { url, greeting, process }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs another role on the folder, and returns all that it said.
pub fn steading(folder: &Path, args: &[&str]) -> String {
    let ran = command(folder, args).output().expect("run");
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{args:?}: {said}");
    said
}

/// The binary in the folder, with the cheapest passwords that the settings allow: no test is about their cost.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steading"));
    let cheap = [("STEADING__ACCOUNTS__HASH_MEMORY_KIB", "8192"), ("STEADING__ACCOUNTS__HASH_ITERATIONS", "1")];
    command.current_dir(folder).args(args).envs(cheap);
    command
}
