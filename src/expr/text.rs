//! Conditions on texts.
use cel::IdedExpr;

use super::bind::Constant;
use super::compile::Compiler;
use super::error::Error;
use super::operand::{Operand, Type};
use crate::db::dialect;

impl Compiler<'_> {
    /// `text.contains(part)` and its like. False if one of them is null.
    pub(super) fn text_condition(&mut self, name: &str, text: &IdedExpr, part: &IdedExpr) -> Result<String, Error> {
        let (text, part) = (self.operand(text)?, self.operand(part)?);
        for operand in [&text, &part] {
            if operand.kind != Type::Text {
                let said = operand.said();
                return Err(Error::wrong_type(format!("`{name}` is for texts, and {said} is {}", operand.kind)));
            }
        }
        Ok(match name {
            "contains" => self.along(&text, &part, dialect::text_has),
            "icontains" => {
                self.along(&text, &part, |text, part| dialect::text_has(&dialect::lower(text), &dialect::lower(part)))
            }
            "endsWith" => self.along(&text, &part, |text, part| {
                format!("substr({text}, length({text}) - length({part}) + 1) = {part}")
            }),
            _ => self.starts_with(&text, &part),
        })
    }

    /// A half-open range where the beginning is known, so that an index finds it.
    fn starts_with(&mut self, text: &Operand, part: &Operand) -> String {
        let Some(Constant::Text(prefix)) = &part.literal else {
            return self.along(text, part, |text, part| format!("substr({text}, 1, length({part})) = {part}"));
        };
        match successor(prefix) {
            Some(end) => {
                let end = self.constant(Type::Text, Constant::Text(end));
                self.along(text, part, |text, part| format!("({text} >= {part} AND {text} < {})", end.sql))
            }
            None => self.along(text, part, |text, part| format!("{text} >= {part}")),
        }
    }
}

/// The least text that is greater than every text with this beginning, compared by bytes; nothing if there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut letters: Vec<char> = prefix.chars().collect();
    while let Some(last) = letters.pop() {
        // Between U+D7FF and U+E000 there are no characters; UTF-8 sorts as code points do.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}
