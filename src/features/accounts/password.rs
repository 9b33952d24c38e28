//! Passwords: which are accepted, and how they are kept and checked. What is easy to guess is told by [`strength`].
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64_NOPAD;

use super::error::Error;
use super::strength;
use crate::base::text::normal;
use crate::base::{Random, Secret};
use crate::config::{AccountsConfig, View};
use crate::http::problem::Fault;
use crate::work::Pool;

/// Longest password, so that hashing it costs no more than any other.
pub(super) const BYTES_MAX: usize = 1_024;
/// Shortest part of an address or name that a password must not be.
const LIKENESS_CHARS_MIN: usize = 4;

/// Most characters beside such a part that are still nothing: `lovelace123`.
const REST_CHARS_MAX: usize = 3;

/// Hashes and checks passwords with argon2id (RFC 9106), on threads of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    pool: Pool,
    config: View<AccountsConfig>,
    random: Random,
}

impl Passwords {
    pub fn new(pool: Pool, config: View<AccountsConfig>, random: Random) -> Self {
        Self { pool, config, random }
    }

    /// Looks like a kept password of today's cost, and matches none: what is checked when no account
    /// has the address, so that this takes the same time.
    fn dummy(&self) -> String {
        let config = self.config.get();
        let (memory, iterations) = (config.hash_memory_kib, config.hash_iterations);
        let salt = BASE64_NOPAD.encode(&self.random.bytes::<16>());
        let hash = BASE64_NOPAD.encode(&self.random.bytes::<32>());
        format!("$argon2id$v=19$m={memory},t={iterations},p=1${salt}${hash}")
    }

    /// Whether a kept password costs as much to check as one that is made today. Once it does not,
    /// its account is told from none by its time.
    pub(super) fn has_todays_cost(&self, kept: &str) -> bool {
        let dummy = self.dummy();
        let cost = |hash| PasswordHash::new(hash).map(|it| (it.algorithm, it.version, it.params)).ok();
        cost(kept) == cost(&dummy)
    }

    /// What is wrong with a new password, if anything. How easy it is to guess is found out on the pool's threads: it
    /// takes up to half as long as hashing.
    pub(super) async fn fault(
        &self,
        password: Secret<String>,
        is_admin: bool,
        email: &str,
        name: &str,
    ) -> Result<Option<Fault>, Error> {
        let plain = fault(&self.config.get(), password.reveal(), is_admin, email, name);
        if plain.is_some() {
            return Ok(plain);
        }
        let known: Vec<String> = known(email, name).map(ToOwned::to_owned).collect();
        let reason = self.pool.run(move || strength::weakness(normalized(&password).reveal(), &known)).await?;
        Ok(reason.map(|it| Fault::new("/password", "guessable", it)))
    }

    /// The form in which a password is kept.
    pub(super) async fn hash(&self, password: Secret<String>) -> Result<String, Error> {
        let (config, salt) = (self.config.get(), self.random.bytes());
        self.pool.run(move || hash(&config, &salt, normalized(&password).reveal().as_bytes())).await?
    }

    /// Whether `password` is the one behind `kept`; never, if nothing is kept, after the same time.
    pub(super) async fn is_right(&self, password: Secret<String>, kept: Option<String>) -> Result<bool, Error> {
        let exists = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.dummy());
        let matches = self
            .pool
            .run(move || {
                let parsed = PasswordHash::new(&kept);
                let password = normalized(&password);
                parsed.is_ok_and(|it| Argon2::default().verify_password(password.reveal().as_bytes(), &it).is_ok())
            })
            .await?;
        Ok(matches && exists)
    }
}

/// The same letters as the same bytes, whichever keyboard they come from (RFC 8265 section 4.2).
fn normalized(password: &Secret<String>) -> Secret<String> {
    Secret::new(normal(password.reveal()))
}

fn hash(config: &AccountsConfig, salt: &[u8; 16], password: &[u8]) -> Result<String, Error> {
    let params = Params::new(config.hash_memory_kib, config.hash_iterations, 1, None);
    let params = params.map_err(|cause| Error::Hash(cause.into()))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password_with_salt(password, salt).map_err(Error::Hash)?;
    Ok(hash.to_string())
}

/// What is wrong at first sight with a new password (NIST SP 800-63B-4: length counts, composition does not).
pub(super) fn fault(config: &AccountsConfig, password: &str, is_admin: bool, email: &str, name: &str) -> Option<Fault> {
    let least = if is_admin { config.password_length_min_admin } else { config.password_length_min };
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
        assert!(passwords.is_right(secret("correct horse"), Some(kept.clone())).await.expect("checked"));
        assert!(!passwords.is_right(secret("correct horsf"), Some(kept)).await.expect("checked"));
        assert!(!passwords.is_right(secret("correct horse"), None).await.expect("checked"));
        assert!(!passwords.is_right(secret("x"), Some("not a hash".to_owned())).await.expect("checked"));
    }

    /// Otherwise an unknown address would be told by how fast it is refused.
    #[tokio::test]
    async fn what_is_checked_for_an_unknown_address_costs_what_a_kept_password_does() {
        let passwords = passwords();
        let kept = passwords.hash(secret("correct horse")).await.expect("hashed");
        let (kept, dummy) =
            (PasswordHash::new(&kept).expect("kept"), PasswordHash::new(&passwords.dummy()).expect("read"));

        assert_eq!((kept.algorithm, kept.version, kept.params), (dummy.algorithm, dummy.version, dummy.params));
        assert_eq!(kept.hash.map(|it| it.len()), dummy.hash.map(|it| it.len()));
        assert_eq!(kept.salt.map(|it| it.len()), dummy.salt.map(|it| it.len()));
    }

    #[test]
    fn length_counts_in_characters_and_more_of_them_for_admins() {
        let config = AccountsConfig::default();
        let check =
            |password: &str, is_admin| fault(&config, password, is_admin, "ada@example.com", "").map(|it| it.code);

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
