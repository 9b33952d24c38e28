//! A mail, before it is put on the wire.
use lettre::address::Envelope;
use lettre::message::header::{self, HeaderName, HeaderValue, MessageId};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message as Letter};

use super::dkim::Signer;
use super::postman::Error;
use crate::config::MailConfig;

/// A mail to one person, as text and as HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same for each attempt to send it, so that one that arrives twice is told as one (RFC 5322 section 3.6.4).
    pub id: String,
    pub to: String,
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// A mail as it goes over the wire.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub envelope: Envelope,
    pub bytes: Vec<u8>,
}

impl Message {
    /// As it goes over the wire (RFC 5322, RFC 2045), signed if there is a signer.
    pub(super) fn wire(&self, config: &MailConfig, signer: Option<&Signer>) -> Result<Wire, Error> {
        let letter = self.letter(config)?;
        let mut bytes = letter.formatted();
        if let Some(signer) = signer {
            let signature = signer.header(&bytes).ok_or_else(|| Error::NotNow("it cannot be signed".to_owned()))?;
            bytes.splice(..0, signature.into_bytes());
        }
        Ok(Wire { envelope: letter.envelope().clone(), bytes })
    }

    fn letter(&self, config: &MailConfig) -> Result<Letter, Error> {
        let from = address(&config.from)?;
        let name = Some(config.from_name.clone()).filter(|it| !it.is_empty());
        let id = format!("<{}@{}>", self.id, from.domain());
        // No answer of a machine to a machine (RFC 3834).
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        Letter::builder()
            .from(Mailbox::new(name, from))
            .to(Mailbox::new(None, address(&self.to)?))
            .subject(one_line(&self.subject))
            .header(MessageId::from(id))
            .header(header::MIME_VERSION_1_0)
            .raw_header(automatic)
            .multipart(MultiPart::alternative_plain_html(lines(&self.text), lines(&self.html)))
            .map_err(|cause| Error::Refused(format!("it cannot be written: {cause}")))
    }
}

/// An address as mail servers know it: a domain of other characters than ASCII has another spelling (RFC 5890).
fn address(text: &str) -> Result<Address, Error> {
    let refused = || Error::Refused(format!("{text} is no address for mail"));
    let parsed: Address = text.parse().map_err(|_| refused())?;
    if parsed.domain().is_ascii() {
        return Ok(parsed);
    }
    let domain = idna::domain_to_ascii(parsed.domain()).map_err(|_| refused())?;
    Address::new(parsed.user(), domain).map_err(|_| refused())
}

/// Text whose lines end in one way: a line must not end with a carriage return alone (RFC 5321 section 2.3.8).
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// A line that ends within a header would begin another header, and no header may have other control characters.
fn one_line(text: &str) -> String {
    let text: String = text.chars().filter(|it| it.is_whitespace() || !it.is_control()).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_of_an_address_is_spelled_as_mail_servers_know_it() {
        for (text, expected) in [
            ("ada@example.com", "ada@example.com"),
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("ädä@bücher.example", "ädä@xn--bcher-kva.example"),
        ] {
            assert_eq!(address(text).map(|it| it.to_string()), Ok(expected.to_owned()));
        }
        assert!(address("ada@a b").is_err());
    }

    #[test]
    fn a_subject_is_one_line_without_control_characters() {
        let text = "Hello\u{0} \u{7}\u{1b}[31mAda\u{7f}\r\nBcc: \u{9b}all@example.com\t\u{1} \u{85}";
        assert_eq!(one_line(text), "Hello [31mAda Bcc: all@example.com");
    }
}
