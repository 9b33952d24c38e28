//! Which accounts are asked for, and in which order: typed parameters, each of which narrows the list.
use super::model::User;
use crate::base::words::words;
use crate::base::{Timestamp, UserId};
use crate::db::Value;
use crate::features::roles::RoleName;
use crate::http::Fault;

/// The parameters that narrow and order a list of accounts, by their names.
pub(super) const NAMES: [&str; 8] =
    ["role", "tier", "disabled", "verified", "createdFrom", "createdTo", "trashed", "sort"];

/// Most words that are looked for: each is asked of every account.
const WORDS_MAX: usize = 10;
/// Longest text to search for, in characters.
const SEARCH_CHARACTERS_MAX: usize = 200;

/// Which accounts, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct People {
    role: Option<String>,
    tier: Option<String>,
    is_disabled: Option<bool>,
    is_verified: Option<bool>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    bin: Bin,
    sort: Sort,
    /// All of which begin a word of the name or the address.
    words: Vec<String>,
}

/// Whether deleted accounts are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Bin {
    #[default]
    Without,
    With,
    Only,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    by: By,
    is_descending: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum By {
    #[default]
    CreatedAt,
    Email,
    Name,
    LastSignInAt,
}

/// What a cursor remembers of the last account on a page: what it is sorted by, and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    key: String,
    id: UserId,
}

type Wrong = (&'static str, String);

impl People {
    /// Reads the parameters of a query that are about which accounts; or says everything that is wrong with them.
    pub fn read(query: &str) -> Result<Self, Vec<Fault>> {
        let (mut people, mut faults) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if let Err((code, detail)) = people.add(&name, &value) {
                faults.push(Fault::new(format!("?{name}"), code, detail));
            }
        }
        if faults.is_empty() { Ok(people) } else { Err(faults) }
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), Wrong> {
        let moment = || value.parse::<Timestamp>().map_err(|why| ("format", why.to_owned()));
        match name {
            "role" => {
                let role: RoleName = value.parse().map_err(|_| ("format", "must be the name of a role".to_owned()))?;
                self.role = Some(role.as_str().to_owned());
            }
            "tier" => self.tier = Some(value.to_owned()),
            "disabled" => self.is_disabled = Some(truth(value)?),
            "verified" => self.is_verified = Some(truth(value)?),
            "createdFrom" => self.from = Some(moment()?),
            "createdTo" => self.to = Some(moment()?),
            "trashed" => {
                self.bin = match value {
                    "with" => Bin::With,
                    "only" => Bin::Only,
                    _ => return Err(("not-one-of", "must be `with` or `only`".to_owned())),
                }
            }
            "sort" => self.sort = Sort::read(value)?,
            "q" => self.words = sought(value)?,
            _ => {}
        }
        Ok(())
    }

    /// The accounts that are meant as SQL, whose parameters are numbered from `first`.
    pub fn condition(&self, first: usize) -> (String, Vec<Value<'static>>) {
        let in_bin = match self.bin {
            Bin::Without => "deleted_at IS NULL",
            Bin::With => "1 = 1",
            Bin::Only => "deleted_at IS NOT NULL",
        };
        let (mut sql, mut values) = (in_bin.to_owned(), Vec::<Value<'static>>::new());
        if !self.words.is_empty() {
            // They have letters and digits only, and none of the signs that LIKE knows.
            values.extend(self.words.iter().map(|it| Value::from(format!("% {it}%"))));
            let alike: Vec<_> = (first..first + values.len()).map(|it| format!("words LIKE ${it}")).collect();
            let alike = alike.join(" AND ");
            // The words are in the index of one order alone. In others, it is asked for ids first: going through all
            // rows in an order that is not theirs takes ten times as long.
            sql.push_str(&match self.sort.by {
                By::CreatedAt => format!(" AND {alike}"),
                _ => format!(" AND id IN (SELECT id FROM users WHERE {alike})"),
            });
        }
        let mut add = |condition: &str, value: Value<'static>| {
            sql.push_str(&format!(" AND {condition} ${}", first + values.len()));
            values.push(value);
        };
        for (column, value) in [("role", &self.role), ("tier", &self.tier)] {
            value.iter().for_each(|it| add(&format!("{column} ="), it.clone().into()));
        }
        self.is_verified.iter().for_each(|it| add("email_verified =", (*it).into()));
        self.from.iter().for_each(|it| add("created_at >=", (*it).into()));
        self.to.iter().for_each(|it| add("created_at <", (*it).into()));
        if let Some(is_disabled) = self.is_disabled {
            sql.push_str(if is_disabled { " AND disabled_at IS NOT NULL" } else { " AND disabled_at IS NULL" });
        }
        (sql, values)
    }

    /// What comes after a position, as a condition whose parameters are numbered from `first`.
    pub fn after(&self, position: Option<&Position>, first: usize) -> (String, Vec<Value<'static>>) {
        let Some(Position { key, id }) = position else { return ("1 = 1".to_owned(), Vec::new()) };
        let Sort { by, is_descending } = self.sort;
        let sign = if is_descending { '<' } else { '>' };
        let key = match by {
            By::CreatedAt | By::LastSignInAt => key.parse::<i64>().unwrap_or_default().into(),
            By::Email | By::Name => key.clone().into(),
        };
        (format!("({}, id) {sign} (${first}, ${})", by.column(), first + 1), vec![key, (*id).into()])
    }

    /// What stands after ORDER BY.
    pub fn order(&self) -> String {
        let direction = if self.sort.is_descending { "DESC" } else { "ASC" };
        format!("{} {direction}, id {direction}", self.sort.by.column())
    }

    pub fn position(&self, user: &User) -> Position {
        let key = match self.sort.by {
            By::CreatedAt => user.created_at.millis().to_string(),
            By::Email => user.email.clone(),
            By::Name => user.name.clone(),
            By::LastSignInAt => user.last_sign_in_at.map_or(-1, Timestamp::millis).to_string(),
        };
        Position { key, id: user.id }
    }
}

impl Sort {
    fn read(text: &str) -> Result<Self, Wrong> {
        let (name, is_descending) = text.strip_prefix('-').map_or((text, false), |it| (it, true));
        let by = [By::CreatedAt, By::Email, By::Name, By::LastSignInAt].into_iter().find(|it| it.name() == name);
        let detail = "must be `createdAt`, `email`, `name` or `lastSignInAt`, or one of them after `-`";
        Ok(Self { by: by.ok_or_else(|| ("not-one-of", detail.to_owned()))?, is_descending })
    }
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "createdAt",
            Self::Email => "email",
            Self::Name => "name",
            Self::LastSignInAt => "lastSignInAt",
        }
    }

    const fn column(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::Email => "email",
            Self::Name => "name",
            // Whoever never signed in comes first: a row is compared by what is not null.
            Self::LastSignInAt => "coalesce(last_sign_in_at, -1)",
        }
    }
}

impl Position {
    pub fn text(&self) -> String {
        format!("{} {}", self.id, self.key)
    }

    pub fn read(text: &str) -> Option<Self> {
        let (id, key) = text.split_once(' ')?;
        Some(Self { key: key.to_owned(), id: id.parse().ok()? })
    }
}

fn truth(text: &str) -> Result<bool, Wrong> {
    text.parse().map_err(|_| ("type", "must be `true` or `false`".to_owned()))
}

/// The words to look for.
fn sought(text: &str) -> Result<Vec<String>, Wrong> {
    if SEARCH_CHARACTERS_MAX < text.chars().count() {
        return Err(("too-long", format!("must be at most {SEARCH_CHARACTERS_MAX} characters long")));
    }
    let words = words(text);
    match words.len() {
        0 => Err(("required", "must have a letter or a digit".to_owned())),
        1..=WORDS_MAX => Ok(words),
        _ => Err(("too-many", format!("must be at most {WORDS_MAX} words"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(query: &str) -> Vec<String> {
        let faults = People::read(query).expect_err("refused");
        faults.into_iter().map(|it| format!("{} {}", it.pointer, it.code)).collect()
    }

    #[test]
    fn each_parameter_narrows_the_list() {
        let people = People::read(
            "role=user&tier=gold&disabled=true&verified=false&createdFrom=2026-01-01T00:00:00Z\
             &createdTo=2026-01-02T00:00:00Z&trashed=with&sort=-name&q=Ad%C3%A1+Love&limit=3",
        );

        let people = people.expect("people");
        let (sql, values) = people.condition(3);

        assert_eq!(
            sql,
            "1 = 1 AND id IN (SELECT id FROM users WHERE words LIKE $3 AND words LIKE $4) AND role = $5 AND tier = $6 \
             AND email_verified = $7 AND created_at >= $8 AND created_at < $9 AND disabled_at IS NOT NULL"
        );
        assert_eq!((&values[0], &values[1], values.len()), (&"% ada%".into(), &"% love%".into(), 7));
        assert_eq!(people.order(), "name DESC, id DESC");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        assert_eq!(
            told("role=&disabled=1&verified=yes&createdFrom=x&trashed=all&sort=password_hash&q=%25_"),
            [
                "?role format",
                "?disabled type",
                "?verified type",
                "?createdFrom format",
                "?trashed not-one-of",
                "?sort not-one-of",
                "?q required"
            ]
        );
        assert_eq!(told(&format!("q={}", "a+".repeat(11))), ["?q too-many"]);
        assert_eq!(told(&format!("q={}", "a".repeat(201))), ["?q too-long"]);
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let position = Position { key: "Ada  Lovelace".to_owned(), id: crate::base::Id::from_uuid(uuid::Uuid::nil()) };

        assert_eq!(Position::read(&position.text()), Some(position));
        assert_eq!(Position::read("x y"), None);
    }
}
