//! Reading reports about mails: that one could not be delivered (RFC 3464), or that somebody took it for unwanted (RFC 5965).
//!
//! Both are a mail with parts (RFC 6522): one for programs, and the mail that it is about, or its head. They come from
//! strangers, so all that is read of them is bounded, and what they say is only believed of mails of ours.
use mail_parser::{Message, MessageParser, MimeHeaders as _, PartType};

use super::suppression::SuppressionReason;

/// Longest report: one with a whole mail in it, which may have 256 KiB of text and as much HTML, encoded.
pub(super) const REPORT_BYTES_MAX: usize = 1 << 20;
/// Most parts: a report has three, and the mail in it as many. What stands in one another this often goes deep, and deeper
/// would be too deep for the stack.
const PARTS_MAX: usize = 32;
/// Most receivers that are looked at. A mail of ours has one.
const RECIPIENTS_MAX: usize = 20;
const ANY_PART: &str = "content-type";

/// What a report says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub reason: SuppressionReason,
    /// Of the mail that it is about, without angle brackets.
    pub message_id: String,
    /// The addresses that it may be about. None is shown to be one that we wrote to.
    pub addresses: Vec<String>,
    /// What it says, in its words.
    pub detail: String,
}

/// Reads a report. Nothing if it tells of no address that does not exist and of no complaint, such as that a mail is late.
/// An error is why it is no report, as the end of a sentence.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Report>, &'static str> {
    // As it lies in a mailbox file, a line before the headers says who sent it.
    let bytes = match bytes.starts_with(b"From ") {
        true => bytes.iter().position(|it| *it == b'\n').map_or(bytes, |end| &bytes[end + 1..]),
        false => bytes,
    };
    let parts = bytes.windows(ANY_PART.len()).filter(|it| it.eq_ignore_ascii_case(ANY_PART.as_bytes())).count();
    if PARTS_MAX < parts {
        return Err("has more parts than a report has");
    }
    let parser = parser();
    let mail = parser.parse(bytes).ok_or("is no mail")?;
    let of_type = |name: &'static str, subtypes: &'static [&'static str]| {
        mail.parts.iter().find(move |it| {
            it.content_type().is_some_and(|it| {
                let subtype = it.subtype().unwrap_or_default();
                it.ctype().eq_ignore_ascii_case(name) && subtypes.iter().any(|it| it.eq_ignore_ascii_case(subtype))
            })
        })
    };
    let said = if let Some(status) = of_type("message", &["delivery-status", "global-delivery-status"]) {
        failure(&String::from_utf8_lossy(status.contents()))
    } else if let Some(feedback) = of_type("message", &["feedback-report"]) {
        complaint(&String::from_utf8_lossy(feedback.contents()))
    } else {
        return Err("is neither a delivery status notification (RFC 3464) nor an abuse report (RFC 5965)");
    };
    let Some((reason, mut addresses, detail)) = said else { return Ok(None) };
    let head;
    let about =
        match mail.parts.iter().find_map(|it| if let PartType::Message(it) = &it.body { Some(it) } else { None }) {
            Some(about) => about,
            None => {
                let part =
                    of_type("text", &["rfc822-headers"]).or(of_type("message", &["rfc822-headers", "global-headers"]));
                head = parser.parse_headers(part.map_or(&b""[..], |it| it.contents()));
                head.as_ref().ok_or("does not have the mail that it is about, or its head")?
            }
        };
    let message_id = about.message_id().ok_or("does not have the Message-ID of the mail that it is about")?;
    addresses.truncate(RECIPIENTS_MAX);
    addresses.extend(receivers(about));
    Ok(Some(Report { reason, message_id: message_id.to_owned(), addresses, detail }))
}

fn parser() -> MessageParser {
    MessageParser::new().with_minimal_headers().with_mime_headers().with_message_ids().default_header_ignore()
}

/// Whom a mail was written to.
fn receivers(mail: &Message<'_>) -> Vec<String> {
    let all = mail.to().into_iter().flat_map(|it| it.iter());
    all.filter_map(|it| it.address().map(ToOwned::to_owned)).take(RECIPIENTS_MAX).collect()
}

type Said = (SuppressionReason, Vec<String>, String);

/// What the part for programs says of receivers that do not exist: fields of the mail, and after each empty line
/// those of a receiver (RFC 3464 section 2.1).
fn failure(text: &str) -> Option<Said> {
    let (mut addresses, mut detail, mut has_failed) = (Vec::new(), String::new(), false);
    let text = text.replace("\r\n", "\n");
    for group in text.split("\n\n").filter(|it| !it.trim().is_empty()).skip(1).take(RECIPIENTS_MAX) {
        let fields = fields(group);
        let value = |name: &str| fields.iter().find(|(it, _)| it == name).map_or("", |(_, it)| it.as_str());
        // A comment may follow the word.
        let first = |name: &str| value(name).split([' ', '(', ';']).next().unwrap_or_default().to_ascii_lowercase();
        if first("action") != "failed" || !is_no_such_address(&first("status")) {
            continue;
        }
        has_failed = true;
        addresses.extend(["original-recipient", "final-recipient"].iter().filter_map(|it| address(value(it))));
        if detail.is_empty() {
            detail = format!("{} {}", first("status"), value("diagnostic-code")).trim().to_owned();
        }
    }
    has_failed.then_some((SuppressionReason::Bounce, addresses, detail))
}

/// Whether a status is about the receiver's address (RFC 3463 section 3.2; 5.1.7 and 5.1.8 are about the sender's). A mailbox
/// that is full is emptied, and what is wrong with us or with the way is mended.
fn is_no_such_address(status: &str) -> bool {
    status.starts_with("5.1.") && !["5.1.7", "5.1.8"].contains(&status)
}

/// What the part for programs says of somebody who complains (RFC 5965 section 3). That a mail was wanted after all, or had a
/// virus, is no complaint about us.
fn complaint(text: &str) -> Option<Said> {
    let fields = fields(&text.replace("\r\n", "\n"));
    let kind = fields.iter().find(|(it, _)| it == "feedback-type").map(|(_, it)| it.to_ascii_lowercase())?;
    if !["abuse", "fraud", "opt-out", "opt-out-list"].contains(&kind.as_str()) {
        return None;
    }
    let to = fields.iter().filter(|(it, _)| it == "original-rcpt-to").filter_map(|(_, it)| address(it));
    Some((SuppressionReason::Complaint, to.collect(), kind))
}

/// Fields by their names in small letters; a line that begins with a space belongs to the one before.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|it| !it.trim().is_empty()) {
        match (line.starts_with([' ', '\t']), found.last_mut()) {
            (true, Some((_, value))) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            _ => {
                if let Some((name, value)) = line.split_once(':') {
                    found.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
            }
        }
    }
    found
}

/// The address in `rfc822; ada@example.com` or `<ada@example.com>`.
fn address(value: &str) -> Option<String> {
    let address = value.rsplit_once(';').map_or(value, |(_, it)| it).trim();
    let address = address.trim_start_matches('<').trim_end_matches('>').trim();
    (!address.is_empty()).then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounce(groups: &str, original: &str) -> String {
        format!(
            "From: MAILER-DAEMON@mx.example.net\r\nTo: post@example.com\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"b/1\"\r\n\r\n--b/1\r\n\
             Content-Type: text/plain\r\n\r\nI'm sorry.\r\n\r\n--b/1\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; mx.example.net\r\nArrival-Date: Fri, 2 Jan 2026 03:04:05 +0000\r\n\r\n{groups}\r\n\
             --b/1\r\n{original}\r\n--b/1--\r\n"
        )
    }

    const ORIGINAL: &str = "Content-Type: message/rfc822\r\n\r\nMessage-ID: <a.b@example.com>\r\nTo: Ada <ada@example.com>\r\n\
        Content-Type: text/plain\r\n\r\nHello\r\n";
    const HEAD: &str =
        "Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <a.b@example.com>\r\nTo: ada@example.com\r\n";
    const FAILED: &str = "Original-Recipient: rfc822;ada@example.com\r\nFinal-Recipient: rfc822; ada@inner.example.com\r\n\
        Action: failed\r\nStatus: 5.1.1 (no such user)\r\nDiagnostic-Code: smtp; 550 5.1.1\r\n  unknown\r\n";

    #[test]
    fn a_failure_for_good_names_the_mail_and_the_receiver() {
        for original in [ORIGINAL, HEAD] {
            for mail in [bounce(FAILED, original), bounce(FAILED, original).replace("\r\n", "\n")] {
                let report = read(mail.as_bytes()).expect("a report").expect("a failure");
                assert_eq!(report.reason, SuppressionReason::Bounce);
                assert_eq!(report.message_id, "a.b@example.com");
                assert_eq!(report.addresses, ["ada@example.com", "ada@inner.example.com", "ada@example.com"]);
                assert_eq!(report.detail, "5.1.1 smtp; 550 5.1.1 unknown");
            }
        }
        let in_a_file = format!("From MAILER-DAEMON Fri Jan  2 03:04:05 2026\n{}", bounce(FAILED, ORIGINAL));
        assert!(read(in_a_file.as_bytes()).expect("a report").is_some());
    }

    #[test]
    fn what_is_late_arrived_or_about_something_else_is_no_failure() {
        for (from, to) in [
            ("failed", "delayed"),
            ("failed", "relayed"),
            ("failed", "delivered"),
            ("5.1.1", "4.4.1"),
            ("Status: 5.1.1", "Status: 5.2.2"),
            ("Status: 5.1.1", "Status: 5.7.1"),
            ("Status: 5.1.1", "Status: 5.4.4"),
            ("Status: 5.1.1", "Status: 5.1.8"),
            ("Status: 5.1.1", "Status: 5.0.0"),
            ("Status:", "S:"),
        ] {
            assert_eq!(read(bounce(&FAILED.replace(from, to), ORIGINAL).as_bytes()), Ok(None), "{to}");
        }
        let two = format!("{}\r\n{FAILED}", FAILED.replace("failed", "delivered").replace("ada", "bob"));
        let report = read(bounce(&two, ORIGINAL).as_bytes()).expect("a report").expect("a failure");
        assert!(!report.addresses.iter().any(|it| it.starts_with("bob")), "{report:?}");
    }

    #[test]
    fn a_complaint_names_the_mail_and_praise_is_none() {
        let of_kind = |kind: &str| {
            let said = format!(
                "Feedback-Type: {kind}\r\nUser-Agent: Example/1\r\nVersion: 1\r\nOriginal-Rcpt-To: <ada@example.com>\r\n"
            );
            let mail = bounce("", ORIGINAL).replace("report-type=delivery-status", "report-type=feedback-report");
            let (before, rest) = mail.split_once("message/delivery-status\r\n\r\n").expect("a part");
            let (_, after) = rest.split_once("\r\n--b/1").expect("its end");
            format!("{before}message/feedback-report\r\n\r\n{said}\r\n--b/1{after}")
        };
        let report = read(of_kind("Abuse").as_bytes()).expect("a report").expect("a complaint");
        assert_eq!((report.reason, report.detail.as_str()), (SuppressionReason::Complaint, "abuse"));
        assert_eq!(report.addresses, ["ada@example.com", "ada@example.com"]);
        assert_eq!(read(of_kind("not-spam").as_bytes()), Ok(None));
        assert_eq!(read(of_kind("virus").as_bytes()), Ok(None));
    }

    #[test]
    fn what_is_no_report_is_refused_with_a_reason() {
        for mail in [
            String::new(),
            "hello".to_owned(),
            "Subject: hello\r\n\r\nhello".to_owned(),
            bounce(FAILED, "Content-Type: text/plain\r\n\r\nnothing"),
            bounce(FAILED, &ORIGINAL.replace("Message-ID", "X")),
            bounce(FAILED, "Content-Type: text/rfc822-headers\r\n\r\n"),
        ] {
            assert!(read(mail.as_bytes()).is_err(), "{mail}");
        }
    }

    /// Each level would take some of the stack when it is dropped.
    #[test]
    fn mails_in_mails_end_somewhere() {
        for level in ["Content-Type: message/rfc822\n\n", "content-type:MESSAGE/RFC822\r\n\r\n"] {
            let deep = level.repeat(REPORT_BYTES_MAX / level.len());
            assert_eq!(read(deep.as_bytes()), Err("has more parts than a report has"));
            let _ = read(level.repeat(PARTS_MAX).as_bytes());
        }
        let digest = "Content-Type: multipart/digest; boundary=a\n\n--a\n\n".repeat(10_000);
        assert!(read(digest.as_bytes()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reading(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2_000)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_damage_breaks_the_reading(at in 0_usize..700, with in "\\PC{0,20}", cut in 0_usize..40) {
            let mail = bounce(FAILED, ORIGINAL);
            let end = (at + cut).min(mail.len());
            let _ = read(format!("{}{with}{}", &mail[..at.min(end)], &mail[end..]).as_bytes());
        }
    }
}
