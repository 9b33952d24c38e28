//! Where in the text of a JSON file something is: what a person who has to mend it looks for.

/// The line, from 1, of what a JSON pointer leads to, or of what comes closest. The text is JSON.
pub(super) fn of_pointer(text: &str, pointer: &str) -> usize {
    let mut place = Place { bytes: text.as_bytes(), at: 0 };
    place.skip_space();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let begun = place.at;
        if !place.enter(&step) {
            place.at = begun;
            break;
        }
    }
    1 + text.as_bytes()[..place.at.min(text.len())].iter().filter(|it| **it == b'\n').count()
}

struct Place<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Place<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or_default()
    }

    fn skip_space(&mut self) {
        while self.peek().is_ascii_whitespace() {
            self.at += 1;
        }
    }

    /// Goes to a member of an object, or an item of an array. False if there is none.
    fn enter(&mut self, step: &str) -> bool {
        let is_object = match self.peek() {
            b'{' => true,
            b'[' => false,
            _ => return false,
        };
        self.at += 1;
        for number in 0.. {
            self.skip_space();
            if !is_object && step.parse() == Ok(number) {
                return self.peek() != b']';
            }
            if is_object {
                let begun = self.at;
                self.skip_value();
                let name = std::str::from_utf8(&self.bytes[begun..self.at]).unwrap_or_default();
                if serde_json::from_str::<String>(name).is_ok_and(|it| it == step) {
                    // The line of the name: a long value may begin further down.
                    self.skip_space();
                    self.at += 1;
                    self.skip_space();
                    return true;
                }
                self.skip_space();
                self.at += 1;
                self.skip_space();
            }
            self.skip_value();
            self.skip_space();
            if self.peek() != b',' {
                return false;
            }
            self.at += 1;
        }
        false
    }

    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                b'"' => self.skip_text(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if 0 < depth => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' | b'}' | b']' | 0 if depth == 0 => return,
                0 => return,
                it if it.is_ascii_whitespace() && depth == 0 => return,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_text(&mut self) {
        self.at += 1;
        while self.at < self.bytes.len() && self.peek() != b'"' {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pointer_leads_to_is_found_in_the_text() {
        let text = "{\n  \"a\": [1, {\"x\\\"}\": \"]\"},\n    {\"b/c\":\n      true}],\n  \"d\": {}\n}";
        for (pointer, line) in [
            ("", 1),
            ("/a", 2),
            ("/a/1", 2),
            ("/a/2", 3),
            ("/a/2/b~1c", 4),
            ("/a/7", 2),
            ("/d", 5),
            ("/d/e", 5),
            ("/nothing", 1),
        ] {
            assert_eq!(of_pointer(text, pointer), line, "{pointer}");
        }
    }
}
