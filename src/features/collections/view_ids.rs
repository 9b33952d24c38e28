//! The ids that views find: each is one that stands in an address, and tells its record from all others.
use std::collections::HashSet;

/// Longest id, in bytes: it stands in addresses.
const ID_BYTES_MAX: usize = 255;
/// How much of an id is told.
const TOLD_MAX: usize = 100;

/// The ids of the records that were read.
#[derive(Debug, Default)]
pub struct ViewIds(HashSet<String>);

impl ViewIds {
    /// Takes the id of another record, or says what is wrong with it.
    pub fn take(&mut self, id: &str) -> Result<(), String> {
        must_be_one(id)?;
        if self.0.insert(id.to_owned()) { Ok(()) } else { Err(doubled(id)) }
    }
}

/// Says what is wrong with what was computed as an id. What is neither a text nor a number came as an empty text.
pub fn must_be_one(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("finds a record with an id that is empty, or neither a text nor a number".to_owned());
    }
    let what = if ID_BYTES_MAX < id.len() {
        format!("has more than {ID_BYTES_MAX} bytes")
    } else if id.chars().any(char::is_control) {
        "has a control character".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("finds a record with the id `{}`, which {what}", shortened(id)))
}

/// What is said of an id that several records have.
pub fn doubled(id: &str) -> String {
    format!("finds more than one record with the id `{}`", shortened(id))
}

fn shortened(id: &str) -> String {
    id.chars().take(TOLD_MAX).map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_can_be_seen_and_is_there_once() {
        let mut ids = ViewIds::default();

        for fit in ["a", " ", "ä/b?c", "1.5", &"x".repeat(255)] {
            assert_eq!(ids.take(fit), Ok(()), "{fit}");
        }
        for unfit in ["", "a\0", "a\n", "\u{7f}", &"x".repeat(256)] {
            assert!(ids.take(unfit).is_err(), "{unfit:?}");
        }
        assert_eq!(ids.take("a"), Err("finds more than one record with the id `a`".to_owned()));
    }
}
