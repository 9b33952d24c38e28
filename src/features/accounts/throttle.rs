//! Wrong guesses are counted, per account and per address, before a password is looked at.
//!
//! What is guessed on a device that the account knows is counted for that device, and what someone guesses who is signed in
//! for that session: so strangers who guess lock each other out, and not the owner.
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;

use super::devices::DeviceId;
use super::error::Error;
use super::one_time::{OneTimeId, Purpose};
use super::one_time_store::LIVE_MAX;
use crate::base::{SessionId, TenantId, Timestamp, UserId};
use crate::config::AccountsConfig;
use crate::http::SentFrom;
use crate::kv::{Count, Kv};

/// How many times as much as one address a neighbourhood may try: a company or a school is many people.
pub(super) const NEIGHBOURHOOD_FACTOR: u32 = 10;
/// Guesses at the codes of one account within the time that a code works.
const CODE_GUESSES_MAX: u32 = 5;
/// Wrong codes of a second factor in a row (NIST SP 800-63B-4 section 3.2.2 allows a hundred), until the time is over or
/// the password is another: whoever makes them knows it.
const SECOND_FACTOR_GUESSES_MAX: u32 = 100;
/// From how many of them on they are told by mail.
const SECOND_FACTOR_TOLD_FROM: u32 = CODE_GUESSES_MAX;
const SECOND_FACTOR_WINDOW: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How often someone is told by mail that their second factor is guessed at.
const TOLD_WITHIN: Duration = Duration::from_secs(24 * 3_600);
/// What they are counted as: those that close the way for a while, and all of them.
const SECOND_FACTOR: &str = "second-factor";
const SECOND_FACTOR_IN_A_ROW: &str = "second-factor-in-a-row";
/// How many times as many mails of all kinds may be asked for as of one: whoever has all of one kind asked for leaves those
/// of the others.
const KINDS_FACTOR: u32 = 3;
/// How long the same code may be on its way a second time without being a wrong guess.
const SENT_TWICE_WITHIN: Duration = Duration::from_secs(60);
/// The time within which mails that someone asks for are counted.
const MAIL_WINDOW: Duration = Duration::from_secs(3_600);

/// Whom a guess at the secrets of an account is counted for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guesser<'a> {
    /// Whoever it is that tries this account: all their guesses together.
    Anyone(&'a str),
    /// A device that the account knows.
    Device(DeviceId),
    /// Someone who is signed in, and shows once more who they are.
    Session(SessionId),
    /// Whoever has the secret of a mail.
    Secret(OneTimeId),
}

/// An attempt that was let through and counted. It is taken back if it turns out right, or is not looked at.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Whose guesses it counts among. None where a secret belongs to no account: counting those together would let
    /// anyone lock out everyone.
    guessers: Vec<String>,
    /// Its own, and that of its neighbourhood if it has one.
    addresses: Vec<String>,
    /// How many attempts there were within the window, with this one: of the guesser, and from the address. 0 where
    /// they are not counted.
    pub nth_of_guesser: u32,
    pub nth_of_address: u32,
    /// Whether there were so many before it, at a second factor, that its owner is to be told if it is wrong.
    pub is_one_of_many: bool,
}

/// Counts an attempt with a setup link, which belongs to no account, and refuses it beyond the limit. Apart from the
/// attempts to sign in: whoever mistypes passwords may still use the link that they were given.
pub(super) fn attempt_setup(
    kv: &Kv,
    config: &AccountsConfig,
    from: SentFrom,
    now: Timestamp,
) -> Result<Attempt, Error> {
    let (addresses, nth_of_address) = count_address("setup", kv, &guesses(config), from, now)?;
    Ok(Attempt { guessers: Vec::new(), addresses, nth_of_guesser: 0, nth_of_address, is_one_of_many: false })
}

/// Counts a guess at a password, and refuses it beyond the limits.
///
/// It is counted first, so that fifty at once do not all see a free place. An account
/// that does not exist is counted like one that does.
pub(super) fn attempt(
    kv: &Kv,
    config: &AccountsConfig,
    tenant: &TenantId,
    guesser: Guesser<'_>,
    from: SentFrom,
    now: Timestamp,
) -> Result<Attempt, Error> {
    let (addresses, nth_of_address) = count_address(guesser.place("sign-in"), kv, &guesses(config), from, now)?;
    let most = config.sign_in_failures_per_account_max;
    let key = guesser.key("sign-in", tenant);
    let nth_of_guesser =
        count(kv, &key, guesses(config).window, most, now).inspect_err(|_| give_back(kv, &addresses))?;
    Ok(Attempt { guessers: vec![key], addresses, nth_of_guesser, nth_of_address, is_one_of_many: false })
}

/// Counts a guess at a code that was sent by mail, and refuses it beyond the limits. Each kind of code by itself, and apart
/// from passwords: whoever closes one way leaves the others.
pub(super) fn attempt_code(
    kv: &Kv,
    config: &AccountsConfig,
    tenant: &TenantId,
    purpose: Purpose,
    guesser: Guesser<'_>,
    from: SentFrom,
    now: Timestamp,
) -> Result<Attempt, Error> {
    let (addresses, nth_of_address) = count_address("code", kv, &guesses(config), from, now)?;
    let key = guesser.key(&format!("code-{}", purpose.name()), tenant);
    count_code(kv, config, key, addresses, nth_of_address, now)
}

/// Counts a guess at a second factor, and refuses it beyond the limits. Whoever gets here knew the password.
pub(super) fn attempt_second_factor(
    kv: &Kv,
    config: &AccountsConfig,
    tenant: &TenantId,
    guesser: Guesser<'_>,
    from: SentFrom,
    now: Timestamp,
) -> Result<Attempt, Error> {
    let place = guesser.place(SECOND_FACTOR);
    let (addresses, nth_of_address) = count_address(place, kv, &guesses(config), from, now)?;
    let mut attempt = count_code(kv, config, guesser.key(SECOND_FACTOR, tenant), addresses, nth_of_address, now)?;
    let key = guesser.key(SECOND_FACTOR_IN_A_ROW, tenant);
    match count(kv, &key, SECOND_FACTOR_WINDOW, SECOND_FACTOR_GUESSES_MAX, now) {
        Ok(nth) => attempt.is_one_of_many = SECOND_FACTOR_TOLD_FROM <= nth,
        Err(error) => {
            attempt.was_not_judged(kv);
            return Err(error);
        }
    }
    attempt.guessers.push(key);
    Ok(attempt)
}

/// Has guesses at someone's second factor begin anew: their password is another now.
pub(super) fn forget_second_factor(kv: &Kv, tenant: &TenantId, email: &str) {
    let key = Guesser::Anyone(email).key(SECOND_FACTOR_IN_A_ROW, tenant);
    kv.forget(&over(&key));
    kv.forget(&key);
}

/// The same once in the time in which they are counted, for whoever came by mail: those who read the mails of somebody else
/// are not to have as many guesses as they like.
pub(super) fn forgive_second_factor(kv: &Kv, tenant: &TenantId, email: &str, now: Timestamp) {
    let key = account_key("second-factor-forgiven", tenant, email);
    if kv.count_up(&key, SECOND_FACTOR_WINDOW, now).count == 1 {
        forget_second_factor(kv, tenant, email);
    }
}

/// Whether someone is to be told now that their second factor is guessed at: one of their limits was reached, and not that
/// of an address alone.
pub(super) fn is_to_be_told(kv: &Kv, tenant: &TenantId, user: UserId, guesser: Guesser<'_>, now: Timestamp) -> bool {
    let limits = [SECOND_FACTOR, SECOND_FACTOR_IN_A_ROW].map(|it| over(&guesser.key(it, tenant)));
    limits.iter().any(|it| kv.find(it, now).is_some()) && is_first_telling(kv, tenant, user, now)
}

/// Counts that a second factor is asked for where no device is known. Whether someone is to be told that this happens more
/// often than people sign in.
pub(super) fn is_to_be_told_of_asking(
    kv: &Kv,
    tenant: &TenantId,
    user: UserId,
    within: Duration,
    now: Timestamp,
) -> bool {
    LIVE_MAX < kv.count_up(&format!("second-factor-asked/{tenant}/{user}"), within, now).count
        && is_first_telling(kv, tenant, user, now)
}

/// Whether someone was not told for a while. They are to be told then.
pub(super) fn is_first_telling(kv: &Kv, tenant: &TenantId, user: UserId, now: Timestamp) -> bool {
    kv.count_up(&format!("second-factor-told/{tenant}/{user}"), TOLD_WITHIN, now).count == 1
}

/// Counts a guess at a short code for whoever makes it.
fn count_code(
    kv: &Kv,
    config: &AccountsConfig,
    key: String,
    addresses: Vec<String>,
    nth_of_address: u32,
    now: Timestamp,
) -> Result<Attempt, Error> {
    let counted = count(kv, &key, config.code_lifetime(), CODE_GUESSES_MAX, now);
    let nth_of_guesser = counted.inspect_err(|_| give_back(kv, &addresses))?;
    Ok(Attempt { guessers: vec![key], addresses, nth_of_guesser, nth_of_address, is_one_of_many: false })
}

/// Notes that a code was right, by a digest of it that tells nobody else what it is.
pub(super) fn code_was_right(kv: &Kv, digest: &str, now: Timestamp) {
    kv.count_up(&format!("right-code/{digest}"), SENT_TWICE_WITHIN, now);
}

/// Whether a code that does not work any more was right a moment ago: then it is on its way a second time, and no guess.
pub(super) fn was_right_just_now(kv: &Kv, digest: &str, now: Timestamp) -> bool {
    kv.find(&format!("right-code/{digest}"), now).is_some()
}

/// Counts a mail that someone asks for, and refuses it beyond the limits: those of its kind, and those of all kinds. An
/// address that has no account is counted like one that has.
pub(super) fn ask_for_mail(
    kv: &Kv,
    config: &AccountsConfig,
    tenant: &TenantId,
    purpose: Purpose,
    email: &str,
    from: SentFrom,
    now: Timestamp,
) -> Result<(), Error> {
    let limits = Limits { window: MAIL_WINDOW, per_address: config.mails_per_address_max };
    count_address("mail", kv, &limits, from, now)?;
    let (of_kind, of_all) = (config.mails_per_account_max, config.mails_per_account_max.saturating_mul(KINDS_FACTOR));
    for (what, most) in [(format!("mail-{}", purpose.name()), of_kind), ("mail".to_owned(), of_all)] {
        count(kv, &account_key(&what, tenant, email), limits.window, most, now)?;
    }
    Ok(())
}

/// How much is let through.
struct Limits {
    window: Duration,
    per_address: u32,
}

fn guesses(config: &AccountsConfig) -> Limits {
    Limits {
        window: Duration::from_secs(config.sign_in_window_secs),
        per_address: config.sign_in_failures_per_address_max,
    }
}

impl Guesser<'_> {
    fn key(self, what: &str, tenant: &TenantId) -> String {
        match self {
            Self::Anyone(account) => account_key(what, tenant, account),
            Self::Device(id) => format!("{what}/{tenant}/device/{id}"),
            Self::Session(id) => format!("{what}/{tenant}/session/{id}"),
            Self::Secret(id) => format!("{what}/{tenant}/secret/{id}"),
        }
    }

    /// Which of the counts of an address it goes into. Of who is signed in, into one of their own: a neighbour who guesses
    /// must not keep them from changing their password.
    fn place(self, what: &'static str) -> &'static str {
        match self {
            Self::Anyone(_) | Self::Device(_) | Self::Secret(_) => what,
            Self::Session(_) => "signed-in",
        }
    }
}

/// A digest: the account's name is a client's text of any length.
fn account_key(what: &str, tenant: &TenantId, account: &str) -> String {
    let account = BASE64URL_NOPAD.encode(digest(&SHA256, account.as_bytes()).as_ref());
    format!("{what}/{tenant}/account/{account}")
}

fn count_address(
    what: &str,
    kv: &Kv,
    limits: &Limits,
    from: SentFrom,
    now: Timestamp,
) -> Result<(Vec<String>, u32), Error> {
    let (Some(own), Some(near)) = (from.client.throttle_key(), from.client.neighbourhood_key()) else {
        return Ok((Vec::new(), 0));
    };
    let (window, most) = (limits.window, limits.per_address);
    let what = if from.by_foreign_page { format!("{what}/pages") } else { what.to_owned() };
    let mut keys = vec![format!("{what}/address/{own}")];
    let nth = count(kv, &keys[0], window, most, now)?;
    if own.is_ipv6() {
        let key = format!("{what}/neighbourhood/{near}");
        let counted = count(kv, &key, window, most.saturating_mul(NEIGHBOURHOOD_FACTOR), now);
        counted.inspect_err(|_| give_back(kv, &keys))?;
        keys.push(key);
    }
    Ok((keys, nth))
}

impl Attempt {
    /// The guess was right: whoever made it starts over, and the address is not blamed.
    pub(super) fn succeeded(self, kv: &Kv) {
        self.starts_over(kv);
        for address in &self.addresses {
            kv.count_down(address);
        }
    }

    /// What was shown was used by then. Whoever made the attempt starts over, as after [`Attempt::was_not_judged`].
    pub(super) fn starts_over(&self, kv: &Kv) {
        for guesser in &self.guessers {
            kv.forget(guesser);
            kv.forget(&over(guesser));
        }
    }

    /// The server failed or was too busy to look at the guess, or it was none: nothing was learned by it.
    pub(super) fn was_not_judged(&self, kv: &Kv) {
        for counted in self.guessers.iter().chain(&self.addresses) {
            kv.count_down(counted);
        }
    }
}

/// What is refused for one reason is not held against anybody for another.
fn give_back(kv: &Kv, counted: &[String]) {
    for key in counted {
        kv.count_down(key);
    }
}

/// Counts one more for `key`, and refuses it beyond `most`. What is refused does not stay counted: it was not looked at, and
/// fifty right ones at once must not leave forty wrong ones behind.
fn count(kv: &Kv, key: &str, window: Duration, most: u32, now: Timestamp) -> Result<u32, Error> {
    let Count { count, resets_at: until } = kv.count_up(key, window, now);
    if most < count {
        kv.count_down(key);
        let wait = now.until(until);
        let is_first = kv.count_up(&over(key), wait, now).count == 1;
        return Err(Error::TooManyAttempts { until, wait, is_first });
    }
    // A crash loses what was counted in the last moment alone: it is no way around a limit. Those who guess at once are
    // written at once.
    kv.hurry();
    Ok(count)
}

/// What notes that something was refused beyond the limit of `key`.
fn over(key: &str) -> String {
    format!("{key}/over")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ClientAddress;

    fn try_once(kv: &Kv, account: &str, address: &str) -> Result<Attempt, Error> {
        let config = AccountsConfig {
            sign_in_failures_per_account_max: 3,
            sign_in_failures_per_address_max: 5,
            ..AccountsConfig::default()
        };
        let from = ClientAddress(address.parse().ok()).into();
        attempt(kv, &config, &TenantId::main(), Guesser::Anyone(account), from, Timestamp::from_millis(0))
    }

    #[test]
    fn an_account_is_closed_after_its_guesses_from_wherever_they_come() {
        let kv = Kv::in_memory();

        let outcomes: Vec<_> = (1..=4).map(|n| try_once(&kv, "ada", &format!("10.0.0.{n}")).is_ok()).collect();

        assert_eq!(outcomes, [true, true, true, false]);
        assert!(try_once(&kv, "grace", "10.0.0.9").is_ok());
    }

    #[test]
    fn an_address_is_closed_after_its_guesses_whatever_it_tries() {
        let kv = Kv::in_memory();

        let outcomes: Vec<_> = (1..=6).map(|n| try_once(&kv, &format!("user{n}"), "10.0.0.1").is_ok()).collect();

        assert_eq!(outcomes, [true, true, true, true, true, false]);
    }

    /// One customer of a provider has 2^64 addresses.
    #[test]
    fn an_ipv6_neighbourhood_counts_as_one_address() {
        let kv = Kv::in_memory();
        for n in 1..=5 {
            try_once(&kv, &format!("user{n}"), &format!("2001:db8::{n}")).expect("within the limit");
        }

        assert!(try_once(&kv, "user6", "2001:db8::ffff").is_err());
        assert!(try_once(&kv, "user6", "2001:db8:0:1::1").is_ok());
    }

    /// A site has 65,536 of those.
    #[test]
    fn an_ipv6_site_is_closed_after_ten_times_the_guesses_of_one_address() {
        let kv = Kv::in_memory();
        let guess =
            |site: u32, n: u32| try_once(&kv, &format!("user{n}"), &format!("2001:db8:{site:x}:{n:x}::1")).is_ok();

        let outcomes: Vec<_> = (1..=51).map(|n| guess(1, n)).collect();

        assert_eq!(outcomes.iter().position(|it| !it), Some(50));
        assert!(guess(2, 52), "another site");
    }

    #[test]
    fn wrong_passwords_do_not_close_the_setup_link() {
        let (kv, config) = (Kv::in_memory(), AccountsConfig::default());
        let from = SentFrom::from(ClientAddress("10.0.0.1".parse().ok()));
        let (now, most) = (Timestamp::from_millis(0), config.sign_in_failures_per_address_max);
        for n in 0..=most {
            let _ = attempt(&kv, &config, &TenantId::main(), Guesser::Anyone(&format!("user{n}")), from, now);
        }

        for _ in 0..most {
            assert!(attempt_setup(&kv, &config, from, now).is_ok());
        }
        assert!(attempt_setup(&kv, &config, from, now).is_err(), "guesses at links are counted too");
    }

    /// Whoever reads the mails of somebody else has a hundred guesses more, and not a hundred for each mail.
    #[test]
    fn guesses_at_a_second_factor_are_forgiven_once_in_the_time_in_which_they_count() {
        let (kv, main, now) = (Kv::in_memory(), TenantId::main(), Timestamp::from_millis(0));
        let key = Guesser::Anyone("ada").key(SECOND_FACTOR_IN_A_ROW, &main);
        let counted_after_forgiving = || {
            kv.count_up(&key, SECOND_FACTOR_WINDOW, now);
            forgive_second_factor(&kv, &main, "ada", now);
            kv.find(&key, now).map(|it| it.count)
        };

        assert_eq!([counted_after_forgiving(), counted_after_forgiving()], [None, Some(1)]);
    }

    #[test]
    fn a_right_guess_is_not_held_against_anyone() {
        let kv = Kv::in_memory();

        for _ in 0..20 {
            try_once(&kv, "ada", "10.0.0.1").expect("let through").succeeded(&kv);
        }
    }
}
