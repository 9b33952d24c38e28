//! A mail server that keeps what it is sent, and answers what it is told to (RFC 5321, as far as a client of ours speaks it).
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
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

/// How a server lets go of a connection over which it took a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It ends it without a word.
    HangUp,
    /// It does not take a second mail.
    TooMany,
    /// It ends it when there is a second one.
    Close,
    /// It says something that nobody asked for.
    LateAnswer,
}

#[derive(Debug, Default)]
struct State {
    mails: Vec<Taken>,
    connections: usize,
    /// At which step, to whom (empty: to anyone), and what is answered.
    answers: Vec<(&'static str, String, &'static str)>,
    /// What becomes of a connection after a mail.
    leave: Option<Leave>,
    /// What it asks for a name and a password with, as BASE64.
    prompts: Option<(&'static str, &'static str)>,
    signed_in: Vec<(String, String)>,
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

    /// Lets go of each connection so after a mail.
    pub fn leave_after_a_mail(&self, way: Leave) {
        self.state().leave = Some(way);
    }

    /// Lets nobody in without a password, and asks for it so (`AUTH LOGIN`).
    pub fn ask_for_a_password(&self, prompts: (&'static str, &'static str)) {
        self.state().prompts = Some(prompts);
    }

    /// Names and passwords that it heard.
    pub fn signed_in(&self) -> Vec<(String, String)> {
        self.state().signed_in.clone()
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

    fn habits(&self) -> (Option<Leave>, Option<(&'static str, &'static str)>) {
        let state = self.state();
        (state.leave, state.prompts)
    }

    fn answer_at(&self, step: &str, to: &str, otherwise: &'static str) -> &'static str {
        let state = self.state();
        let told = state.answers.iter().find(|(it, whom, _)| *it == step && (whom.is_empty() || whom == to));
        told.map_or(otherwise, |(_, _, answer)| answer)
    }

    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        let (mut to, mut has_sent) = (String::new(), false);
        writer.write_all(format!("{}\r\n", self.answer_at("greeting", "", "220 here")).as_bytes()).await?;
        while let Some(line) = lines.next_line().await? {
            let command = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            let (leave, prompts) = self.habits();
            let answer = match command.as_str() {
                "EHLO" if prompts.is_some() => "250-here\r\n250 AUTH XOAUTH2 LOGIN",
                "AUTH" => {
                    let (name, password) = prompts.unwrap_or_default();
                    let mut heard = Vec::new();
                    for prompt in [name, password] {
                        writer.write_all(format!("334 {prompt}\r\n").as_bytes()).await?;
                        let said = lines.next_line().await?.unwrap_or_default();
                        let said = BASE64.decode(said.as_bytes()).unwrap_or_default();
                        heard.push(String::from_utf8(said).unwrap_or_default());
                    }
                    let [name, password] = heard.try_into().unwrap_or_default();
                    self.state().signed_in.push((name, password));
                    "235 welcome"
                }
                "MAIL" if has_sent && leave == Some(Leave::TooMany) => "421 enough",
                "MAIL" if has_sent && leave == Some(Leave::Close) => break,
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
                        has_sent = true;
                        self.state().mails.push(Taken { to: to.clone(), text });
                    }
                    answer
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
            if command == "DATA" && leave == Some(Leave::LateAnswer) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                writer.write_all(b"250 once more\r\n").await?;
            }
            if command == "QUIT" || command == "DATA" && leave == Some(Leave::HangUp) {
                break;
            }
        }
        Ok(())
    }
}
