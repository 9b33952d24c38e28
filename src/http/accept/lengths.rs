//! A look at the lines of a head, for a length that hyper does not show.
//!
//! A request that says how long its body is, and also that the body comes in chunks, may be two requests to one
//! reader and one to another (RFC 9112 section 6.1). hyper believes the chunks and drops the length unseen.

const CONTENT_LENGTH: &[u8] = b"content-length:";

/// What the line at hand is about, as far as that is known.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// So many of its bytes name a length.
    Name(usize),
    Length,
    Other,
}

/// Follows the bytes of one head as they come, in whatever parts.
#[derive(Debug)]
pub(super) struct Lengths {
    line: Line,
    line_bytes: usize,
    /// Whether the line has more than its end.
    is_text: bool,
    /// How many bytes the first line has, once it has ended. Empty ones before a request are no part of its head.
    first_line_bytes: Option<usize>,
    is_over: bool,
    found: bool,
    /// The number that the line at hand gives.
    number: Option<u64>,
    earlier: Option<u64>,
    fault: Option<Fault>,
}

/// What makes no length of a line that should give one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NoNumber,
    Differs,
}

impl Default for Lengths {
    fn default() -> Self {
        Self {
            line: Line::Name(0),
            line_bytes: 0,
            is_text: false,
            first_line_bytes: None,
            is_over: false,
            found: false,
            number: None,
            earlier: None,
            fault: None,
        }
    }
}

impl Lengths {
    /// Begins with a new head.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// What is wrong with the lengths that the head gave, if anything.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// How many bytes of the first line have come: the method, the target and the version.
    pub(super) fn first_line_bytes(&self) -> usize {
        self.first_line_bytes.unwrap_or(self.line_bytes)
    }

    /// Goes on with what came next. True once the head has given a length.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(first) = bytes.first()
            && !self.is_over
        {
            if matches!(self.line, Line::Other) {
                let end = memchr::memchr(b'\n', bytes);
                let rest = end.map_or(bytes.len(), |it| it + 1);
                bytes = &bytes[rest..];
                self.line_bytes += rest;
                if end.is_some() {
                    self.end_line();
                }
                continue;
            }
            bytes = &bytes[1..];
            self.line_bytes += 1;
            match (self.line, first) {
                (_, b'\n') => self.end_line(),
                (_, b'\r') => {}
                (Line::Length, b' ' | b'\t') => {}
                (Line::Length, digit @ b'0'..=b'9') => {
                    let number = self.number.unwrap_or_default().saturating_mul(10);
                    self.number = Some(number.saturating_add((digit - b'0').into()));
                }
                (Line::Length, _) => self.fault = Some(Fault::NoNumber),
                (Line::Name(seen), letter) if letter.eq_ignore_ascii_case(&CONTENT_LENGTH[seen]) => {
                    self.is_text = true;
                    let is_whole = seen + 1 == CONTENT_LENGTH.len();
                    self.found |= is_whole;
                    self.line = if is_whole { Line::Length } else { Line::Name(seen + 1) };
                }
                (Line::Name(_) | Line::Other, _) => {
                    self.is_text = true;
                    self.line = Line::Other;
                }
            }
        }
        self.found
    }

    fn end_line(&mut self) {
        if matches!(self.line, Line::Length) {
            let number = self.number.take();
            if number.is_none() {
                self.fault = Some(Fault::NoNumber);
            } else if self.earlier.is_some_and(|it| Some(it) != number) {
                self.fault = self.fault.or(Some(Fault::Differs));
            }
            self.earlier = number;
        }
        self.is_over = self.first_line_bytes.is_some() && !self.is_text;
        if self.first_line_bytes.is_none() && self.is_text {
            self.first_line_bytes = Some(self.line_bytes);
        }
        (self.line, self.line_bytes, self.is_text) = (Line::Name(0), 0, false);
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

    #[test]
    fn lengths_that_are_none_or_differ_are_told_apart() {
        let fault = |lines: &str| {
            let mut lengths = Lengths::default();
            lengths.follow(format!("POST / HTTP/1.1\r\n{lines}\r\nContent-Length: x\r\n").as_bytes());
            lengths.fault()
        };

        assert_eq!(fault("Content-Length: 5\r\n"), None, "what follows is the body");
        assert_eq!(fault("Content-Length: 5\r\nContent-Length: 5\r\n"), None);
        assert_eq!(fault("Content-Length: 5\r\nHost: a\r\nContent-Length: 6\r\n"), Some(Fault::Differs));
        for none in ["-1", "", "five", "0x5"] {
            assert_eq!(fault(&format!("Content-Length: {none}\r\n")), Some(Fault::NoNumber), "{none:?}");
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
