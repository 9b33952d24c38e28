//! Which words someone may have meant who made a typing error: those that are there and differ little.
use super::hits::Meant;
use super::sought::Part;
use crate::base::words::{distance, typos_forgiven};
use crate::db::record_tables::quoted;
use crate::db::{self, Tx};

/// Most words that one word may stand for: the nearest.
const MEANT_MAX: usize = 32;
/// Most words that are looked at for one search. Beyond, near ones may be missed.
const LOOKED_AT_MAX: i64 = 50_000;

/// What each part may stand for besides itself. Phrases are meant as they are.
pub(super) fn meant(tx: &mut Tx<'_>, words: &str, parts: &[Part]) -> Result<Vec<Vec<Meant>>, db::Error> {
    let mut left = LOOKED_AT_MAX;
    let mut all = Vec::new();
    for part in parts {
        all.push(match part.words.as_slice() {
            [word] => near(tx, words, word, part.is_begun, &mut left)?,
            _ => Vec::new(),
        });
    }
    Ok(all)
}

fn near(tx: &mut Tx<'_>, words: &str, typed: &str, is_begun: bool, left: &mut i64) -> Result<Vec<Meant>, db::Error> {
    let forgiven = typos_forgiven(typed);
    if forgiven == 0 {
        return Ok(Vec::new());
    }
    let letters: Vec<char> = typed.chars().collect();
    // A word that begins with another letter is hardly ever meant, unless the first two changed places, or the first
    // one is too much.
    let mut firsts = letters[..2].to_vec();
    firsts.dedup();
    let sql = format!("SELECT word FROM {} WHERE word >= $1 AND word < $2 LIMIT $3", quoted(words));
    let mut found: Vec<Meant> = Vec::new();
    for first in firsts {
        let Some(next) = char::from_u32(u32::from(first) + 1) else { continue };
        let range = [first.to_string().into(), next.to_string().into(), (*left).into()];
        tx.each(&sql, &range, &mut |row| {
            *left -= 1;
            let word = row.text(0)?;
            let distance = distance(&letters, word, forgiven);
            let (typos, is_longer) = match (distance.whole, distance.beginning) {
                (Some(typos), _) => (typos, false),
                (None, Some(typos)) if is_begun => (typos, true),
                _ => return Ok(()),
            };
            // What begins as it was typed is found without this.
            if 0 < typos {
                found.push(Meant { word: word.to_owned(), typos, is_longer });
            }
            Ok(())
        })?;
    }
    found.sort_by(|a, b| (a.typos, a.is_longer, &a.word).cmp(&(b.typos, b.is_longer, &b.word)));
    found.truncate(MEANT_MAX);
    Ok(found)
}
