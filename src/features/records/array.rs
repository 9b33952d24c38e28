//! Cuts one JSON array into its items while it arrives.
use super::split::{Content, Piece, RECORD_BYTES_MAX, Unreadable, too_long};

/// The items of one array. Only brackets and texts are looked at; the rest is the parser's business.
#[derive(Default)]
pub(super) struct Items {
    part: Vec<u8>,
    depth: usize,
    line: u64,
    began: u64,
    in_text: bool,
    escaped: bool,
    ended: bool,
    too_long: bool,
    /// Whether the last that was handed out was followed by a comma.
    after_comma: bool,
}

impl Items {
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) -> Result<(), Unreadable> {
        for byte in bytes.iter().copied() {
            if byte == b'\n' {
                self.line += 1;
            }
            if self.ended || self.depth == 0 {
                match byte {
                    b'[' if !self.ended => self.depth = 1,
                    it if it.is_ascii_whitespace() => {}
                    _ => return Err(Unreadable(format!("line {}: the file must be one JSON array", self.line + 1))),
                }
                continue;
            }
            if !self.in_text {
                match byte {
                    b'{' | b'[' => self.depth += 1,
                    b']' if self.depth == 1 => {
                        self.must_be_there(self.after_comma, "is missing after the last comma", out);
                        self.hand_out(out);
                        self.ended = true;
                        continue;
                    }
                    b'}' | b']' => self.depth -= 1,
                    b',' if self.depth == 1 => {
                        self.must_be_there(true, "is missing before a comma", out);
                        self.after_comma = true;
                        self.hand_out(out);
                        continue;
                    }
                    _ => {}
                }
            }
            self.follow_text(byte);
            if self.too_long {
                continue;
            }
            if self.part.is_empty() {
                if byte.is_ascii_whitespace() {
                    continue;
                }
                self.began = self.line + 1;
            }
            self.part.push(byte);
            if RECORD_BYTES_MAX < self.part.len() {
                self.too_long = true;
                self.part.clear();
            }
        }
        Ok(())
    }

    fn must_be_there(&self, must: bool, detail: &str, out: &mut Vec<Piece>) {
        if must && !self.too_long && self.part.trim_ascii().is_empty() {
            out.push(Piece { line: self.line + 1, bytes: 0, content: Content::Broken(detail.to_owned()) });
        }
    }

    fn follow_text(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            _ => {}
        }
    }

    fn hand_out(&mut self, out: &mut Vec<Piece>) {
        if std::mem::take(&mut self.too_long) {
            out.push(Piece { line: self.began, bytes: 0, content: Content::Broken(too_long()) });
        }
        let text = std::mem::take(&mut self.part);
        if !text.trim_ascii().is_empty() {
            let bytes = text.len();
            out.push(Piece { line: self.began, bytes, content: Content::Json(text) });
        }
    }

    pub fn end(&self) -> Result<(), Unreadable> {
        if self.ended { Ok(()) } else { Err(Unreadable("the file ends before its JSON array does".to_owned())) }
    }
}
