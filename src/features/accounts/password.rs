//! Passwords: which are accepted, and how they are kept and checked. What is easy to guess is told by [`strength`].
//!
//! Whoever has no account is told from nobody by the time that a wrong password takes: for an address without one, a
//! password of nobody is checked, in a form that some account has. Which form that is follows from the address, so that
//! asking again tells no more; and it is as frequent as among the accounts.
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hmac;

use super::cost::{self, Cost, Measured};
use super::error::Error;
use super::kept::{self, Form, Kind};
use super::strength;
use crate::base::text::normal;
use crate::base::{Random, Secret};
use crate::config::{AccountsConfig, View};
use crate::http::problem::Fault;
use crate::work::{Figures, Pool};

/// Longest password, so that hashing it costs no more than any other.
pub(super) const BYTES_MAX: usize = 1_024;
/// Shortest part of an address or name that a password must not be.
const LIKENESS_CHARS_MIN: usize = 4;

/// Most characters beside such a part that are still nothing: `lovelace123`.
const REST_CHARS_MAX: usize = 3;

/// Bytes of a hash of ours.
const HASH_BYTES: usize = 32;

/// Hashes and checks passwords with argon2id (RFC 9106), on threads of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    pool: Pool,
    config: View<AccountsConfig>,
    random: Random,
    measured: Measured,
    /// In which forms the passwords of accounts are kept, and how many in each; nothing before they were counted.
    forms: Arc<RwLock<Vec<(Form, u64)>>>,
    key: Arc<hmac::Key>,
}

impl Passwords {
    pub fn new(pool: Pool, config: View<AccountsConfig>, random: Random) -> Self {
        let key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &random.bytes::<32>()));
        Self { pool, config, random, measured: Measured::default(), forms: Arc::default(), key }
    }

    /// What hashing a password costs now.
    pub(super) fn cost(&self) -> Cost {
        self.measured.or_as_set(&self.config.get())
    }

    /// Has passwords cost what was measured, where nothing else is set.
    pub(super) fn set_measured(&self, cost: Cost) {
        self.measured.set(cost);
    }

    /// Finds out what hashing a password may cost on this machine.
    pub(super) async fn measure(&self) -> Result<Cost, Error> {
        let threads = self.pool.figures().threads;
        self.pool.run(move || cost::measure(threads)).await?
    }

    /// How much is to be hashed.
    pub fn figures(&self) -> Figures {
        self.pool.figures()
    }

    /// The form in which a password is kept that is set today.
    fn todays_form(&self) -> Form {
        let Cost { memory_kib, iterations } = self.cost();
        Form::Argon2 { kind: Kind::Id, version: 0x13, memory_kib, iterations, lanes: 1, bytes: HASH_BYTES }
    }

    /// Says in which forms passwords are kept now.
    pub(super) fn set_forms(&self, counted: HashMap<Form, u64>) {
        let mut forms: Vec<_> = counted.into_iter().collect();
        // In one order, so that an address stays with its form.
        forms.sort_by_cached_key(|(form, _)| format!("{form:?}"));
        *self.forms.write().unwrap_or_else(PoisonError::into_inner) = forms;
    }

    /// What is checked when no account has an address, or one without a password: a password of nobody.
    fn of_nobody(&self, email: &str) -> String {
        let tag = hmac::sign(&self.key, email.as_bytes());
        let mut number = [0; 8];
        number.copy_from_slice(&tag.as_ref()[..8]);
        let forms = self.forms.read().unwrap_or_else(PoisonError::into_inner);
        let total: u64 = forms.iter().map(|(_, count)| count).sum();
        let mut place = u64::from_be_bytes(number).checked_rem(total).unwrap_or(0);
        let form = forms.iter().find(|(_, count)| match place.checked_sub(*count) {
            Some(rest) => {
                place = rest;
                false
            }
            None => true,
        });
        form.map_or_else(|| self.todays_form(), |(form, _)| form.clone()).of_nobody(&self.random)
    }

    /// Whether a password is kept as one that is set today.
    pub(super) fn has_todays_form(&self, kept: &str) -> bool {
        kept::form(kept) == Some(self.todays_form())
    }

    /// What is wrong with a new password, if anything. How easy it is to guess is found out on the pool's threads: it
    /// takes up to half as long as hashing.
    pub(super) async fn fault(
        &self,
        password: Secret<String>,
        may_all: bool,
        email: &str,
        name: &str,
    ) -> Result<Option<Fault>, Error> {
        let plain = fault(&self.config.get(), password.reveal(), may_all, email, name);
        if plain.is_some() {
            return Ok(plain);
        }
        let known: Vec<String> = known(email, name).map(ToOwned::to_owned).collect();
        let reason = self.pool.run(move || strength::weakness(normalized(&password).reveal(), &known)).await?;
        Ok(reason.map(|it| Fault::new("/password", "guessable", it)))
    }

    /// The form in which a password is kept.
    pub(super) async fn hash(&self, password: Secret<String>) -> Result<String, Error> {
        let (cost, salt) = (self.cost(), self.random.bytes());
        self.pool.run(move || hash(cost, &salt, normalized(&password).reveal().as_bytes())).await?
    }

    /// Whether `password` is the one behind `kept`; never, if nothing is kept for this address, after the same time.
    pub(super) async fn is_right(
        &self,
        password: Secret<String>,
        kept: Option<String>,
        email: &str,
    ) -> Result<bool, Error> {
        let kept = kept.filter(|it| kept::form(it).is_some());
        let exists = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.of_nobody(email));
        let matches = self.pool.run(move || kept::is_right(&kept, &password)).await?;
        Ok(matches && exists)
    }
}

/// The same letters as the same bytes, whichever keyboard they come from (RFC 8265 section 4.2).
fn normalized(password: &Secret<String>) -> Secret<String> {
    Secret::new(normal(password.reveal()))
}

fn hash(cost: Cost, salt: &[u8; 16], password: &[u8]) -> Result<String, Error> {
    let params = Params::new(cost.memory_kib, cost.iterations, 1, None);
    let params = params.map_err(|cause| Error::Hash(cause.into()))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password_with_salt(password, salt).map_err(Error::Hash)?;
    Ok(hash.to_string())
}

/// What is wrong at first sight with a new password (NIST SP 800-63B-4: length counts, composition does not).
pub(super) fn fault(config: &AccountsConfig, password: &str, may_all: bool, email: &str, name: &str) -> Option<Fault> {
    let least = if may_all { config.password_length_min_admin } else { config.password_length_min };
    let fault = |code, detail: String| Some(Fault::new("/password", code, detail));
    let password = Secret::new(normal(password));
    let password = password.reveal().as_str();
    if password.chars().count() < least as usize {
        return fault("too-short", format!("must be at least {least} characters long"));
    }
    if BYTES_MAX < password.len() {
        return fault("too-long", format!("must be at most {BYTES_MAX} bytes long"));
    }
    if known(email, name).any(|it| is_little_more_than(password, it)) {
        return fault("guessable", "must not be the address or the name, or little more".to_owned());
    }
    None
}

/// What everyone knows of someone, whole and in parts.
fn known<'a>(email: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let (local_part, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    [email, local_part, domain, name].into_iter().chain(name.split_whitespace()).filter(|it| !it.is_empty())
}

/// Whether hardly anything is left of a password without `known`. Case and punctuation hide nothing.
fn is_little_more_than(password: &str, known: &str) -> bool {
    let letters = |it: &str| it.to_lowercase().chars().filter(|it| it.is_alphanumeric()).collect::<String>();
    let (password, known) = (Secret::new(letters(password)), letters(known));
    if known.chars().count() < LIKENESS_CHARS_MIN {
        return false;
    }
    let rest = Secret::new(password.reveal().replace(known.as_str(), ""));
    rest.reveal().len() < password.reveal().len() && rest.reveal().chars().count() <= REST_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn passwords() -> Passwords {
        let config = AccountsConfig { hash_memory_kib: 64, hash_iterations: 1, ..AccountsConfig::default() };
        let pool = Pool::start("passwords", 1, 4, Duration::from_secs(60)).expect("threads");
        Passwords::new(pool, View::fixed(config), Random::system())
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = passwords();
        let kept = passwords.hash(secret("correct horse")).await.expect("hashed");

        assert!(kept.starts_with("$argon2id$v=19$"), "{kept}");
        let is_right = async |password, kept: Option<&str>| {
            let kept = kept.map(ToOwned::to_owned);
            passwords.is_right(secret(password), kept, "ada@example.com").await.expect("checked")
        };
        assert!(is_right("correct horse", Some(&kept)).await);
        assert!(!is_right("correct horsf", Some(&kept)).await);
        assert!(!is_right("correct horse", None).await);
        assert!(!is_right("x", Some("not a hash")).await);
        assert!(!is_right("", Some("")).await);
    }

    /// Otherwise an unknown address would be told by how fast it is refused.
    #[tokio::test]
    async fn what_is_checked_for_an_unknown_address_costs_what_a_kept_password_does() {
        let passwords = passwords();
        let kept = passwords.hash(secret("correct horse")).await.expect("hashed");

        assert_eq!(kept::form(&passwords.of_nobody("ada@example.com")), kept::form(&kept));
        assert!(passwords.has_todays_form(&kept));
    }

    #[tokio::test]
    async fn among_accounts_from_elsewhere_unknown_addresses_seem_to_be_of_them_as_often_and_always_the_same() {
        let passwords = passwords();
        let ours = kept::form(&passwords.hash(secret("correct horse")).await.expect("hashed")).expect("ours");
        passwords.set_forms([(Form::Bcrypt { rounds: 10 }, 300), (ours.clone(), 100)].into_iter().collect());
        let form = |n: u32| kept::form(&passwords.of_nobody(&format!("{n}@example.com"))).expect("a form");

        let of_elsewhere = (0..1_000).filter(|n| form(*n) == Form::Bcrypt { rounds: 10 }).count();

        assert!((650..850).contains(&of_elsewhere), "{of_elsewhere} of 1000");
        assert!((0..100).all(|n| form(n) == form(n)));
        assert!((0..1_000).any(|n| form(n) == ours));
    }

    #[test]
    fn length_counts_in_characters_and_more_of_them_for_admins() {
        let config = AccountsConfig::default();
        let check =
            |password: &str, may_all| fault(&config, password, may_all, "ada@example.com", "").map(|it| it.code);

        assert_eq!(check("ääääääää", false), None, "letters are counted, not bytes");
        assert_eq!(check(&"a\u{308}".repeat(7), false).as_deref(), Some("too-short"), "7 letters with marks");
        assert_eq!(check("äääääää", false).as_deref(), Some("too-short"));
        assert_eq!(check("14 characters.", true).as_deref(), Some("too-short"));
        assert_eq!(check("15 characters..", true), None);
        assert_eq!(check(&"x".repeat(1_025), false).as_deref(), Some("too-long"));
    }

    #[test]
    fn the_address_and_the_name_are_no_passwords() {
        let config = AccountsConfig::default();
        let check = |password| fault(&config, password, false, "lovelace@example.com", "Ada Lovelace");

        for password in [
            "lovelace@example.com",
            "Lovelace",
            "LOVELACE1",
            "lovelacelovelace",
            "Ada Lovelace",
            "ada lovelace!",
            "AdaLovelace",
            "ada-lovelace!!!!",
            "example.com",
        ] {
            assert!(check(password).is_some(), "{password} was accepted");
        }
        for password in ["lovelace and eleven more", "!!!!!!!!", "correct horse"] {
            assert_eq!(check(password), None, "{password}");
        }
    }
}
