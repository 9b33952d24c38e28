//! A mail server that keeps what it is sent, and answers what it is told to (RFC 5321, as far as a client of ours speaks it).
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub to: String,
    /// As it came over the wire, without the dots that were added there.
    pub text: String,
}

impl Taken {
    /// The value of a header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ").replace("\r\n\t", " ");
        let line = head.split("\r\n").find(|it| it.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())))?;
        line.split_once(':').map(|(_, it)| it.trim().to_owned())
    }

    /// Without its angle brackets.
    pub fn message_id(&self) -> String {
        let id = self.header("message-id").expect("a Message-ID");
        id.trim_start_matches('<').trim_end_matches('>').to_owned()
    }
}

#[derive(Debug, Default)]
struct State {
    mails: Vec<Taken>,
    connections: usize,
    /// At which step, to whom (empty: to anyone), and what is answered.
    answers: Vec<(&'static str, String, &'static str)>,
    /// Ends a connection after a mail without saying goodbye.
    hangs_up: bool,
}

/// The server, until the test's runtime ends.
#[derive(Clone, Debug)]
pub struct Smtp {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Smtp {
    #[expect(clippy::disallowed_methods, reason = "a peer of the app, which ends with the test's runtime")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let own = Self { port, state: Arc::default() };
        let server = own.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server.state().connections += 1;
                let own = server.clone();
                tokio::spawn(async move { own.converse(stream).await.unwrap_or_default() });
            }
        });
        own
    }

    /// A server that says the same again and again, however little it is asked.
    #[expect(clippy::disallowed_methods, reason = "a peer of the app, which ends with the test's runtime")]
    pub async fn without_end(said: &'static [u8]) -> (Self, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = Self { port: listener.local_addr().expect("an address").port(), state: Arc::default() };
        let (server, bytes) = (own.clone(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&bytes);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                server.state().connections += 1;
                let many = said.repeat(1 + 1_000 / said.len());
                while let Ok(written) = stream.write(&many).await {
                    count.fetch_add(written, Ordering::Relaxed);
                }
            }
        });
        (own, bytes)
    }

    /// As an operator names it.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Answers so at a step: `greeting`, `RCPT` or `DATA`, which is when the mail is there. To anyone if `to` is empty.
    pub fn answer(&self, step: &'static str, to: &str, answer: &'static str) {
        let mut state = self.state();
        state.answers.retain(|(it, whom, _)| *it != step || *whom != to);
        state.answers.push((step, to.to_owned(), answer));
    }

    /// Takes everything again.
    pub fn take_all(&self) {
        self.state().answers.clear();
    }

    /// Ends each connection after a mail, without a word.
    pub fn hang_up(&self) {
        self.state().hangs_up = true;
    }

    pub fn connections(&self) -> usize {
        self.state().connections
    }

    pub fn mails_to(&self, to: &str) -> Vec<Taken> {
        self.state().mails.iter().filter(|it| it.to == to).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer_at(&self, step: &str, to: &str, otherwise: &'static str) -> &'static str {
        let state = self.state();
        let told = state.answers.iter().find(|(it, whom, _)| *it == step && (whom.is_empty() || whom == to));
        told.map_or(otherwise, |(_, _, answer)| answer)
    }

    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        let mut to = String::new();
        writer.write_all(format!("{}\r\n", self.answer_at("greeting", "", "220 here")).as_bytes()).await?;
        while let Some(line) = lines.next_line().await? {
            let command = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            let answer = match command.as_str() {
                "RCPT" => {
                    to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    self.answer_at("RCPT", &to, "250 ok")
                }
                "DATA" => {
                    writer.write_all(b"354 go on\r\n").await?;
                    let mut text = String::new();
                    while let Some(line) = lines.next_line().await? {
                        if line == "." {
                            break;
                        }
                        text.push_str(line.strip_prefix('.').unwrap_or(&line));
                        text.push_str("\r\n");
                    }
                    let answer = self.answer_at("DATA", &to, "250 taken");
                    if answer.starts_with('2') {
                        self.state().mails.push(Taken { to: to.clone(), text });
                    }
                    answer
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
            if command == "QUIT" || command == "DATA" && self.state().hangs_up {
                break;
            }
        }
        Ok(())
    }
}
