//! Where quotes stand in CSV.

/// Which cells of a row begin with a quote: an empty text is told from no value by that alone, and the reader does not
/// say it.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    place: Place,
    pub column: usize,
    /// The columns of the row so far that do.
    pub quoted: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    Plain,
    Quoted,
    /// After a quote within quotes: their end, or the first of two that stand for one.
    Quote,
}

impl Quotes {
    pub fn follow(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.place = match (self.place, byte) {
                (Place::Quoted, b'"') => Place::Quote,
                (Place::Quoted, _) | (Place::Quote, b'"') => Place::Quoted,
                (_, b',') => {
                    self.column += 1;
                    Place::Start
                }
                (_, b'\n' | b'\r') => Place::Start,
                (Place::Start, b'"') => {
                    self.quoted.push(self.column);
                    Place::Quoted
                }
                _ => Place::Plain,
            };
        }
    }

    /// Whether what was read so far ends within quotes.
    pub fn is_open(&self) -> bool {
        self.place == Place::Quoted
    }
}
