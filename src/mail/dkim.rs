//! Signatures of mails (DKIM, RFC 6376; with Ed25519 RFC 8463): who receives one can tell that it is ours and unchanged.
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;

use crate::base::PrivateKey;
use crate::config::DkimConfig;

/// What is signed, as far as a mail has it. `From` stands there once more than it is in a mail: another one that somebody
/// adds would break the signature (RFC 6376 section 8.15).
const SIGNED: &[&str] = &[
    "from",
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "auto-submitted",
];
/// Longest line of a signature: what RFC 5322 section 2.1.1 recommends, less the space before it.
const LINE_CHARS_MAX: usize = 72;

/// The public key as it is to be published: a record of the domain name system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Such as `steading._domainkey.example.com`.
    pub name: String,
    /// Of type TXT, whole. Some programs want it in parts of at most 255 bytes.
    pub value: String,
}

/// Signs mails.
#[derive(Debug)]
pub(super) struct Signer {
    key: PrivateKey,
    domain: String,
    selector: String,
    record: Record,
}

impl Signer {
    /// Nothing if no key is set.
    pub fn new(config: &DkimConfig) -> Option<Self> {
        if !config.is_set() {
            return None;
        }
        let key = PrivateKey::from_pem(config.key.reveal()).ok()?;
        let value = format!("v=DKIM1; k={}; p={}", key.algorithm(), BASE64.encode(&key.public()?));
        let record = Record { name: config.record_name(), value };
        Some(Self { key, domain: config.domain.clone(), selector: config.selector.clone(), record })
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The header that signs a mail, to stand before all others, with the end of its line. Nothing if it cannot be made.
    pub fn header(&self, mail: &[u8]) -> Option<String> {
        let (head, body) = parts(mail);
        let headers = headers(head);
        let names: Vec<_> = SIGNED.iter().filter(|name| headers.iter().any(|it| it.is(name))).copied().collect();
        let algorithm = self.key.algorithm();
        let body_hash = BASE64.encode(digest(&SHA256, &relaxed_body(body)).as_ref());
        let unsigned = format!(
            "DKIM-Signature: v=1; a={algorithm}-sha256; c=relaxed/relaxed;\r\n d={}; s={};\r\n h={};\r\n bh={body_hash};\r\n b=",
            self.domain,
            self.selector,
            names.join(":")
        );
        let signature = self.sign(&to_sign(&headers, &names, &unsigned))?;
        let lines: Vec<_> = signature.as_bytes().chunks(LINE_CHARS_MAX).map(String::from_utf8_lossy).collect();
        Some(format!("{unsigned}{}\r\n", lines.join("\r\n ")))
    }

    fn sign(&self, text: &[u8]) -> Option<String> {
        let signature = match &self.key {
            PrivateKey::Rsa(_) => self.key.sign(text),
            // The digest is what is signed (RFC 8463 section 3).
            PrivateKey::Ed25519(_) => self.key.sign(digest(&SHA256, text).as_ref()),
        };
        signature.map(|it| BASE64.encode(&it))
    }
}

/// A header of a mail.
#[derive(Debug)]
struct Header<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl Header<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
    }

    /// RFC 6376 section 3.4.2, without the end of the line.
    fn relaxed(&self) -> Vec<u8> {
        let mut out = self.name.trim_ascii().to_ascii_lowercase();
        out.push(b':');
        let words = self.value.split(u8::is_ascii_whitespace).filter(|it| !it.is_empty());
        out.extend(words.collect::<Vec<_>>().join(&b' '));
        out
    }
}

/// The headers and the body, without the empty line between them.
fn parts(mail: &[u8]) -> (&[u8], &[u8]) {
    match mail.windows(4).position(|it| it == b"\r\n\r\n") {
        Some(end) => (&mail[..end + 2], &mail[end + 4..]),
        None => (mail, b""),
    }
}

/// Each header, whole: a line that begins with a space belongs to the one before.
fn headers(head: &[u8]) -> Vec<Header<'_>> {
    let mut found = Vec::new();
    let mut begin = 0;
    for at in 0..head.len() {
        let ends = head[..=at].ends_with(b"\r\n") && !matches!(head.get(at + 1), Some(b' ' | b'\t'));
        if ends || at + 1 == head.len() {
            let header = &head[begin..=at];
            if let Some(colon) = header.iter().position(|it| *it == b':') {
                found.push(Header { name: &header[..colon], value: &header[colon + 1..] });
            }
            begin = at + 1;
        }
    }
    found
}

/// What is signed: the headers by their names, the last of a name first, and the signature's own without the signature
/// (RFC 6376 section 3.7).
fn to_sign(headers: &[Header<'_>], names: &[&str], unsigned: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let before = names[..at].iter().filter(|it| *it == name).count();
        if let Some(header) = headers.iter().rev().filter(|it| it.is(name)).nth(before) {
            text.extend(header.relaxed());
            text.extend(b"\r\n");
        }
    }
    let (name, value) = unsigned.split_once(':').unwrap_or((unsigned, ""));
    text.extend(Header { name: name.as_bytes(), value: value.as_bytes() }.relaxed());
    text
}

/// RFC 6376 section 3.4.4.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut empty_lines = 0;
    for line in body.split_inclusive(|it| *it == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_space = |it: &u8| matches!(it, b' ' | b'\t');
        let end = line.iter().rposition(|it| !is_space(it)).map_or(0, |it| it + 1);
        if end == 0 {
            empty_lines += 1;
            continue;
        }
        // Those at the end do not count.
        out.extend(b"\r\n".repeat(std::mem::take(&mut empty_lines)));
        let mut was_space = false;
        for byte in &line[..end] {
            if !is_space(byte) {
                out.push(*byte);
            } else if !was_space {
                out.push(b' ');
            }
            was_space = is_space(byte);
        }
        out.extend(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;

    /// The mail of RFC 8463 appendix A.
    const MAIL: &str = "From: Joe SixPack <joe@football.example.com>\r\n\
        To: Suzie Q <suzie@shopping.example.net>\r\n\
        Subject: Is dinner ready?\r\n\
        Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
        Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\
        \r\n\
        Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
    /// Its key: 32 bytes, as the RFC prints them, in the frame of PKCS #8.
    const KEY_HEAD: &str = "MC4CAQAwBQYDK2VwBCIEIA==";
    const KEY: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

    fn signer() -> Signer {
        let decoded = |it: &str| BASE64.decode(it.as_bytes()).expect("bytes");
        let der = BASE64.encode(&[decoded(KEY_HEAD), decoded(KEY)].concat());
        let key = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        let (domain, selector) = ("football.example.com".to_owned(), "brisbane".to_owned());
        Signer::new(&DkimConfig { domain, selector, key: Secret::new(key) }).expect("a signer")
    }

    /// What others computed: the digest of the body, the signature and the record.
    #[test]
    fn a_mail_is_signed_as_the_standard_shows() {
        let (head, body) = parts(MAIL.as_bytes());
        let names = ["from", "to", "subject", "date", "message-id", "from", "subject", "date"];
        let unsigned = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; \
            i=@football.example.com;\r\n q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : \
            message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=";

        let body_hash = BASE64.encode(digest(&SHA256, &relaxed_body(body)).as_ref());
        let signature = signer().sign(&to_sign(&headers(head), &names, unsigned)).expect("signed");

        assert_eq!(body_hash, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
        assert_eq!(
            signature,
            "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
        );
        let record = signer().record().clone();
        assert_eq!(record.name, "brisbane._domainkey.football.example.com");
        assert_eq!(record.value, "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    }

    #[test]
    fn a_second_sender_that_is_added_breaks_the_signature() {
        let header = signer().header(MAIL.as_bytes()).expect("a header");

        assert!(header.contains("h=from:from:to:subject:date:message-id;"), "{header}");
        assert!(header.ends_with("\r\n") && header.lines().all(|it| it.len() <= 78), "{header}");
        let forged = format!("From: evil@example.com\r\n{MAIL}");
        let signed = |mail: &str| to_sign(&headers(parts(mail.as_bytes()).0), &["from", "from"], "x:");
        assert_ne!(signed(MAIL), signed(&forged));
    }

    #[test]
    fn what_a_server_on_the_way_may_change_does_not_count() {
        let body = |it: &[u8]| String::from_utf8(relaxed_body(it)).expect("text");
        assert_eq!(body(b" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n");
        assert_eq!(body(b""), "");
        assert_eq!(body(b"\r\n\r\n"), "");
        assert_eq!(body(b"a\r\n\r\nb"), "a\r\n\r\nb\r\n");
        let folded = headers(b"SUBJect : a\r\n\tb  c \r\nX:\r\n");
        assert_eq!(folded[0].relaxed(), b"subject:a b c");
        assert_eq!(folded[1].relaxed(), b"x:");
    }
}
