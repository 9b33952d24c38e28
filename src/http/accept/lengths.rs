//! A look at the lines of a head, for a length that hyper does not show.
//!
//! A request that says how long its body is, and also that the body comes in chunks, may be two requests to one
//! reader and one to another (RFC 9112 section 6.1). hyper believes the chunks and drops the length unseen.

const CONTENT_LENGTH: &[u8] = b"content-length:";

/// Follows the bytes of one head as they come, in whatever parts.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    /// How many bytes of the line have come, as far as it may still name a length.
    named: Option<usize>,
    /// Whether the line has more than its end.
    is_text: bool,
    /// Whether there was such a line before: empty ones before a request are no end of its head.
    has_begun: bool,
    is_over: bool,
    found: bool,
}

impl Lengths {
    /// Begins with a new head.
    pub(super) fn begin(&mut self) {
        *self = Self { named: Some(0), ..Self::default() };
    }

    /// Goes on with what came next. True once the head has given a length.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(first) = bytes.first()
            && !self.is_over
            && !self.found
        {
            let Some(seen) = self.named else {
                // The rest of a line that is about something else.
                let Some(end) = memchr::memchr(b'\n', bytes) else { break };
                bytes = &bytes[end + 1..];
                self.has_begun = true;
                self.named = Some(0);
                self.is_text = false;
                continue;
            };
            bytes = &bytes[1..];
            match first {
                b'\n' => {
                    self.is_over = self.has_begun && !self.is_text;
                    self.has_begun |= self.is_text;
                    self.named = Some(0);
                    self.is_text = false;
                }
                b'\r' => {}
                letter if letter.eq_ignore_ascii_case(&CONTENT_LENGTH[seen]) => {
                    self.is_text = true;
                    self.found = seen + 1 == CONTENT_LENGTH.len();
                    self.named = Some(seen + 1);
                }
                _ => {
                    self.is_text = true;
                    self.named = None;
                }
            }
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same answer for a head that comes whole and byte by byte.
    fn has_length(head: &str) -> bool {
        let (mut whole, mut dripping) = (Lengths::default(), Lengths::default());
        whole.begin();
        dripping.begin();
        let at_once = whole.follow(head.as_bytes());
        let mut at_last = false;
        for byte in head.as_bytes() {
            at_last = dripping.follow(&[*byte]);
        }
        assert_eq!(at_once, at_last, "{head:?}");
        at_once
    }

    #[test]
    fn a_length_is_found_wherever_it_stands_and_however_it_is_written() {
        for head in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\ncontent-length:5\r\n\r\n",
            "\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\nHost: a\nCONTENT-LENGTH: 5\n\n",
        ] {
            assert!(has_length(head), "{head:?}");
        }
    }

    /// What comes after the head is a body, which may hold any words.
    #[test]
    fn what_only_looks_like_a_length_is_none() {
        for head in [
            "POST / HTTP/1.1\r\nHost: a\r\n\r\nContent-Length: 5\r\n",
            "POST / HTTP/1.1\nHost: a\n\nContent-Length: 5\n",
            "POST / HTTP/1.1\r\nX-Content-Length: 5\r\nContent-Length-X: 5\r\nContent-: \r\n\r\n",
            "POST /?content-length: HTTP/1.1\r\nX: content-length: 5\r\n\r\n",
        ] {
            assert!(!has_length(head), "{head:?}");
        }
    }
}
