//! The forms in which passwords are kept: ours, and those that accounts bring along from elsewhere.
//!
//! argon2 in all its kinds, bcrypt, scrypt as it is and as Firebase changed it, and PBKDF2 are checked, and at the next
//! right sign-in they become ours. What one of them costs is bounded where it comes in ([`acceptable`]): a hash that takes
//! ten seconds or a gigabyte would make an account a way to stop the server.
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::cipher::{AES_256, AES_256_KEY_LEN, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use data_encoding::{BASE64, BASE64_NOPAD};
use subtle::ConstantTimeEq as _;

use crate::base::text::normal;
use crate::base::{Random, Secret};

/// Memory that checking one password may take, in KiB.
const MEMORY_KIB_MAX: u64 = 128 << 10;
/// The same, times how often it is gone through: about a second.
const WORK_KIB_MAX: u64 = 1 << 20;
/// Rounds of bcrypt as a power of two: about a second.
const BCRYPT_ROUNDS_MAX: u32 = 14;
/// Rounds of PBKDF2: about a second.
const PBKDF2_ROUNDS_MAX: u32 = 3_000_000;
/// Lanes of argon2 and scrypt: nobody has more than a few.
const LANES_MAX: u32 = 16;
/// Longest salt and hash.
const PART_BYTES_MAX: usize = 64;

/// What checking a password costs, and everything else about a kept one that others may know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Argon2 {
        kind: Kind,
        version: u32,
        memory_kib: u32,
        iterations: u32,
        lanes: u32,
        bytes: usize,
    },
    Bcrypt {
        rounds: u32,
    },
    Scrypt {
        log_n: u8,
        block: u32,
        lanes: u32,
        bytes: usize,
    },
    /// scrypt makes a key, and AES-256 in counter mode with that key encrypts the key of a Firebase project.
    Firebase {
        log_n: u8,
        block: u32,
        lanes: u32,
        bytes: usize,
    },
    Pbkdf2 {
        digest: Digest,
        rounds: u32,
        bytes: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    D,
    I,
    Id,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Digest {
    Sha256,
    Sha512,
}

/// A password as it is kept.
struct Kept {
    form: Form,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// The form of a kept password; nothing, if it is none that we know.
pub(super) fn form(kept: &str) -> Option<Form> {
    read(kept).map(|it| it.form)
}

/// Whether a password is the one behind what is kept.
///
/// Ours are kept normalized, so that each keyboard makes the same; elsewhere they are kept as they were typed.
pub(super) fn is_right(kept: &str, password: &Secret<String>) -> bool {
    let Some(kept) = read(kept) else { return false };
    let normalized = Secret::new(normal(password.reveal()));
    kept.is_of(normalized.reveal()) || (normalized.reveal() != password.reveal() && kept.is_of(password.reveal()))
}

/// Why a password that is kept elsewhere is not taken over, if it is not.
pub(super) fn acceptable(kept: &str) -> Result<(), &'static str> {
    let unknown = "is no hash of argon2, bcrypt, scrypt or PBKDF2, such as `$2b$12$…`, `$argon2id$v=19$…`, `$scrypt$ln=…`, \
                   `$fbscrypt$v=1,n=…`, `$pbkdf2-sha256$i=…` or `pbkdf2_sha256$…`";
    let form = form(kept).ok_or(unknown)?;
    let is_too_much = match form {
        Form::Argon2 { memory_kib, iterations, lanes, .. } => {
            let memory = u64::from(memory_kib);
            MEMORY_KIB_MAX < memory || WORK_KIB_MAX < memory.saturating_mul(iterations.into()) || LANES_MAX < lanes
        }
        Form::Bcrypt { rounds } => BCRYPT_ROUNDS_MAX < rounds,
        Form::Scrypt { log_n, block, lanes, .. } | Form::Firebase { log_n, block, lanes, .. } => {
            let memory = 1_u64.checked_shl(log_n.into()).and_then(|n| n.checked_mul(u64::from(block)));
            let memory_kib = memory.map_or(u64::MAX, |it| it / 8);
            LANES_MAX < lanes
                || MEMORY_KIB_MAX < memory_kib
                || WORK_KIB_MAX / 4 < memory_kib.saturating_mul(lanes.into())
        }
        Form::Pbkdf2 { rounds, .. } => PBKDF2_ROUNDS_MAX < rounds,
    };
    if is_too_much {
        return Err("would take too long, or too much memory, to check");
    }
    if form.is_possible() { Ok(()) } else { Err("has numbers that its algorithm does not allow") }
}

impl Kept {
    fn is_of(&self, password: &str) -> bool {
        let made = compute(&self.form, &self.salt, password.as_bytes());
        made.is_some_and(|it| bool::from(it.ct_eq(&self.hash)))
    }
}

impl Form {
    /// Whether its algorithm allows the numbers. Otherwise nothing would ever match.
    fn is_possible(&self) -> bool {
        match *self {
            Self::Argon2 { version, memory_kib, iterations, lanes, bytes, .. } => {
                Version::try_from(version).is_ok() && Params::new(memory_kib, iterations, lanes, Some(bytes)).is_ok()
            }
            Self::Bcrypt { rounds } => 4 <= rounds,
            Self::Scrypt { log_n, block, lanes, .. } | Self::Firebase { log_n, block, lanes, .. } => {
                scrypt::Params::new(log_n, block, lanes).is_ok()
            }
            Self::Pbkdf2 { rounds, .. } => 0 < rounds,
        }
    }

    /// A password that is kept in this form, and that nobody has.
    pub fn of_nobody(&self, random: &Random) -> String {
        let salt = BASE64_NOPAD.encode(&random.bytes::<16>());
        let hash = |bytes: usize| BASE64_NOPAD.encode(&random.bytes::<PART_BYTES_MAX>()[..bytes.min(PART_BYTES_MAX)]);
        match self {
            Self::Argon2 { kind, version, memory_kib, iterations, lanes, bytes } => {
                let (kind, hash) = (kind.name(), hash(*bytes));
                format!("${kind}$v={version}$m={memory_kib},t={iterations},p={lanes}${salt}${hash}")
            }
            Self::Bcrypt { rounds } => format!("$2b${rounds:02}${}{}", ".".repeat(22), ".".repeat(31)),
            Self::Scrypt { log_n, block, lanes, bytes } => {
                format!("$scrypt$ln={log_n},r={block},p={lanes}${salt}${}", hash(*bytes))
            }
            Self::Firebase { log_n, block, lanes, bytes } => {
                let (signer, hash) = (hash(*bytes), hash(*bytes));
                format!("$fbscrypt$v=1,n={log_n},r={block},p={lanes},sk={signer}${salt}${hash}")
            }
            Self::Pbkdf2 { digest, rounds, bytes } => {
                format!("$pbkdf2-{}$i={rounds}${salt}${}", digest.name(), hash(*bytes))
            }
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::D => "argon2d",
            Self::I => "argon2i",
            Self::Id => "argon2id",
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::D => Algorithm::Argon2d,
            Self::I => Algorithm::Argon2i,
            Self::Id => Algorithm::Argon2id,
        }
    }
}

impl Digest {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// What a password becomes; nothing, if the form has numbers that its algorithm does not allow.
fn compute(form: &Form, salt: &[u8], password: &[u8]) -> Option<Vec<u8>> {
    match *form {
        Form::Argon2 { kind, version, memory_kib, iterations, lanes, bytes } => {
            let params = Params::new(memory_kib, iterations, lanes, Some(bytes)).ok()?;
            let argon2 = Argon2::new(kind.algorithm(), Version::try_from(version).ok()?, params);
            let mut made = vec![0; bytes];
            argon2.hash_password_into(password, salt, &mut made).ok()?;
            Some(made)
        }
        Form::Bcrypt { rounds } => {
            // Up to 72 bytes count, with the zero that ends a text.
            let mut text = [password, b"\0"].concat();
            text.truncate(72);
            let text = Secret::new(text);
            Some(bcrypt::bcrypt(rounds, salt.try_into().ok()?, text.reveal())[..23].to_vec())
        }
        Form::Scrypt { log_n, block, lanes, bytes } => {
            let params = scrypt::Params::new(log_n, block, lanes).ok()?;
            let mut made = vec![0; bytes];
            scrypt::scrypt(password, salt, &params, &mut made).ok()?;
            Some(made)
        }
        Form::Firebase { log_n, block, lanes, bytes } => {
            let params = scrypt::Params::new(log_n, block, lanes).ok()?;
            let mut key = vec![0; AES_256_KEY_LEN];
            scrypt::scrypt(password, salt, &params, &mut key).ok()?;
            key_stream(Secret::new(key).reveal(), bytes)
        }
        Form::Pbkdf2 { digest, rounds, bytes } => {
            let mut made = vec![0; bytes];
            pbkdf2::derive(digest.algorithm(), std::num::NonZero::new(rounds)?, salt, password, &mut made);
            Some(made)
        }
    }
}

/// What AES-256 in counter mode, which begins at 0, adds to so many bytes.
fn key_stream(key: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    let mut made = vec![0; bytes];
    // Firebase begins at 0 for everyone: the salt makes each key another.
    key.less_safe_encrypt(&mut made, EncryptionContext::Iv128(FixedLength::from([0; 16]))).ok()?;
    Some(made)
}

fn read(kept: &str) -> Option<Kept> {
    // Django writes its own name of an algorithm before what others write alone.
    let kept = kept.strip_prefix("argon2").filter(|it| it.starts_with("$argon2")).unwrap_or(kept);
    let kept = kept.strip_prefix("bcrypt$").unwrap_or(kept);
    let parts: Vec<&str> = kept.split('$').collect();
    let read = match parts.as_slice() {
        ["", kind @ ("argon2d" | "argon2i" | "argon2id"), version, costs, salt, hash] => {
            argon2(kind, version.strip_prefix("v=")?.parse().ok()?, costs, salt, hash)?
        }
        // From before there were versions.
        ["", kind @ ("argon2d" | "argon2i" | "argon2id"), costs, salt, hash] => argon2(kind, 0x10, costs, salt, hash)?,
        ["", "2a" | "2b" | "2y", rounds, text] => bcrypt_text(rounds, text)?,
        ["", "scrypt", costs, salt, hash] => {
            let [log_n, block, lanes] = numbers(costs, ["ln", "r", "p"])?;
            let (salt, hash) = (decoded(salt)?, decoded(hash)?);
            let form = Form::Scrypt { log_n: log_n.try_into().ok()?, block, lanes, bytes: hash.len() };
            Kept { form, salt, hash }
        }
        ["", "fbscrypt", costs, salt, hash] => firebase(costs, salt, hash)?,
        ["", digest @ ("pbkdf2-sha256" | "pbkdf2-sha512"), costs, salt, hash] => {
            let rounds = costs.split(',').next()?;
            let rounds = rounds.strip_prefix("i=").unwrap_or(rounds).parse().ok()?;
            pbkdf2_of(digest.strip_prefix("pbkdf2-")?, rounds, decoded(salt)?, decoded(hash)?)?
        }
        [digest @ ("pbkdf2_sha256" | "pbkdf2_sha512"), rounds, salt, hash] => {
            let (salt, hash) = (salt.as_bytes().to_vec(), BASE64.decode(hash.as_bytes()).ok()?);
            pbkdf2_of(digest.strip_prefix("pbkdf2_")?, rounds.parse().ok()?, salt, hash)?
        }
        _ => return None,
    };
    let is_sound = |part: &[u8]| part.len() <= PART_BYTES_MAX;
    // What argon2 does not take would be told by how fast it is refused; a few bytes of hash are right for many passwords.
    let salt_min = if matches!(read.form, Form::Argon2 { .. }) { 8 } else { 0 };
    Some(read).filter(|it| is_sound(&it.salt) && is_sound(&it.hash) && 16 <= it.hash.len() && salt_min <= it.salt.len())
}

fn argon2(kind: &str, version: u32, costs: &str, salt: &str, hash: &str) -> Option<Kept> {
    let kind = [Kind::D, Kind::I, Kind::Id].into_iter().find(|it| it.name() == kind)?;
    let [memory_kib, iterations, lanes] = numbers(costs, ["m", "t", "p"])?;
    let (salt, hash) = (decoded(salt)?, decoded(hash)?);
    let bytes = hash.len();
    Some(Kept { form: Form::Argon2 { kind, version, memory_kib, iterations, lanes, bytes }, salt, hash })
}

/// As Supabase Auth writes it down: `v=1,n=14,r=8,p=1,ss=Bw==,sk=…`, where `n` is the power of two, `ss` the separator that
/// follows each salt, and `sk` the key of the project that is encrypted.
fn firebase(costs: &str, salt: &str, hash: &str) -> Option<Kept> {
    let mut parts = costs.splitn(5, ',');
    let mut number = |name| parts.next()?.strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok();
    let (1, log_n, block, lanes) = (number("v")?, number("n")?, number("r")?, number("p")?) else { return None };
    let keys = parts.next()?;
    let (separator, signer) = match keys.strip_prefix("ss=") {
        Some(keys) => keys.split_once(',')?,
        None => ("", keys),
    };
    let (separator, signer) = (decoded(separator)?, decoded(signer.strip_prefix("sk=")?)?);
    let (salt, mut hash) = ([decoded(salt)?, separator].concat(), decoded(hash)?);
    if signer.len() != hash.len() {
        return None;
    }
    // What is left of the hash without the project's key is of the password alone, and is what is compared.
    hash.iter_mut().zip(&signer).for_each(|(byte, of_key)| *byte ^= of_key);
    let form = Form::Firebase { log_n: log_n.try_into().ok()?, block, lanes, bytes: hash.len() };
    Some(Kept { form, salt, hash })
}

fn pbkdf2_of(digest: &str, rounds: u32, salt: Vec<u8>, hash: Vec<u8>) -> Option<Kept> {
    let digest = [Digest::Sha256, Digest::Sha512].into_iter().find(|it| it.name() == digest)?;
    Some(Kept { form: Form::Pbkdf2 { digest, rounds, bytes: hash.len() }, salt, hash })
}

fn bcrypt_text(rounds: &str, text: &str) -> Option<Kept> {
    let (salt, hash) = text.split_at_checked(22).filter(|_| text.len() == 53 && rounds.len() == 2)?;
    let rounds = rounds.parse().ok().filter(|it| (4..=31).contains(it))?;
    Some(Kept { form: Form::Bcrypt { rounds }, salt: bcrypt_decoded(salt)?, hash: bcrypt_decoded(hash)? })
}

/// bcrypt has letters of its own for Base64, and bits after the end that some leave as they fall.
fn bcrypt_decoded(text: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(text.len()), 0_u32, 0);
    for letter in text.bytes() {
        let value = LETTERS.iter().position(|it| *it == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if 8 <= count {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
        bits &= (1 << count) - 1;
    }
    Some(bytes)
}

/// Base64 without padding, also with the dot that Python's `passlib` writes for a plus.
fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_NOPAD.decode(text.trim_end_matches('=').replace('.', "+").as_bytes()).ok()
}

/// The numbers in `m=19456,t=2,p=1`, each with its name and in this order.
fn numbers<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut parts = text.split(',');
    let mut found = [0; N];
    for (place, name) in found.iter_mut().zip(names) {
        *place = parts.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    const LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

    /// Made by others: Python's `bcrypt`, `hashlib`, `argon2-cffi`, `passlib` and Django, and Firebase's documentation.
    const ELSEWHERE: &[(&str, &str)] = &[
        ("correct horse", "$2b$04$vJtWvDJccXkyeWdJPcKn6.y8VHhfZbb5w1E2G.xR5eoqL2MB5CBNi"),
        ("correct horse", "$2a$04$9xE9HN6iLrc/ZqKx5HuSWeTznV5k5FD3DvcZHQh8xtfgcADJjIRue"),
        ("correct horse", "$2y$04$SELAY4434lUZsktiIZKx4uM0ynd0EYAhlXR36rC72CkD3/UbDF4Ga"),
        (LONG, "$2b$04$yfe6aIqdVEnkKdgYz6bBgu9cHO.9s6IrCfWgIHoAXhBvNZuwJd6KC"),
        ("", "$2b$04$ffavkKGabSGZuhvJwgotDuvRbY0xQV0g52UZj5BdHY.ub91MjqHj6"),
        ("ju\u{308}rgen", "$2b$04$0YGQ16Q3v4iPXnfDHWkqXuB7Bmq3j69rTqAv7DpEV5XWsvQeVgHu6"),
        (
            "correct horse",
            "$argon2d$v=19$m=64,t=2,p=2$MDEyMzQ1Njc4OWFiY2RlZg$dOi7cZl2dlo4eu/sTQ2j9syppP/ZDNFzsjFGgjz/J0M",
        ),
        (
            "correct horse",
            "$argon2i$v=19$m=64,t=2,p=2$MDEyMzQ1Njc4OWFiY2RlZg$JJ/ZDykYOnhMabOK2tGFjoWMyIA2jiyUS51az8rbHG4",
        ),
        (
            "correct horse",
            "$argon2id$v=19$m=64,t=2,p=2$MDEyMzQ1Njc4OWFiY2RlZg$ehqGRlXhNY90u1mXokuaGpor9OaG4WSZVb4jCfev4ys",
        ),
        ("correct horse", "$argon2i$v=16$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$V0rQTpw+RwqyWhf9+Iwkiw"),
        ("correct horse", "$pbkdf2-sha256$100$qdW6d87Z21trLYXwnlMKIQ$tMIUDRPGSn3M6XP15mgL.W5BqVEcClWGnxiRHFkss2A"),
        (
            "correct horse",
            "$pbkdf2-sha512$100$cE7JmZPy3lsL4XxvrTWmVA$DIfgmle7GxO2RKTJDJIQ2PKuuitDoqMntryVEbuf4E73375iAXFLFGUbTHPGXBzmL4ktlOs.ty4RaaCWV5NvIA",
        ),
        (
            "correct horse",
            "$pbkdf2-sha256$i=100,l=32$MDEyMzQ1Njc4OWFiY2RlZg$jFv3hht7uRixqMdKdjkASH0qpaB7Y6oFZhc+KxyeitI",
        ),
        ("correct horse", "$scrypt$ln=4,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$OAkZqUBelG6VIYdTJfYSENL5OmZRxMa3GwXn5oFliTg"),
        ("correct horse", "$scrypt$ln=4,r=8,p=1$N0YIwRgDoFRKyXnPWas1pg$lat2HmXb48bG1S6dksQCak7cLnTxfeOsT3kECeuDqh8"),
        ("correct horse", "pbkdf2_sha256$100$SaltOfDjango$sVWZnW9d3eTLZPkaQ1DOozGkcKP58VHKGVt/kSxNmHc="),
        (
            "correct horse",
            "argon2$argon2id$v=19$m=64,t=1,p=1$WjNWRWR6ZTV5WjExUTFiZGFOZ2s1Yw$t5VOcK4ss9WqfFXczdkbGHwUNixhrKizgE/0C9G1/Jc",
        ),
        ("correct horse", "bcrypt$$2b$04$LXjEGooDLUnNhFm6MR3uuOUcro9YAc8p/02.D1SG2b8mEo5u6PDuW"),
        (
            "user1password",
            "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==",
        ),
    ];

    #[test]
    fn what_others_made_is_right_for_its_password_and_no_other() {
        for (password, kept) in ELSEWHERE {
            assert_eq!(acceptable(kept), Ok(()), "{kept}");
            assert!(is_right(kept, &secret(password)), "{kept}");
            assert!(!is_right(kept, &secret("another password")), "{kept}");
        }
    }

    #[test]
    fn what_costs_too_much_or_is_none_is_not_taken() {
        let (salt, hash) = ("c2FsdHNhbHRzYWx0c2FsdA", "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g");
        for kept in [
            "".to_owned(),
            "secret".to_owned(),
            "5f4dcc3b5aa765d61d8327deb882cf99".to_owned(),
            "$1$salt$hash".to_owned(),
            format!("$2b$15${}", ".".repeat(53)),
            format!("$2b$03${}", ".".repeat(53)),
            format!("$2b$10${}", ".".repeat(52)),
            format!("$argon2id$v=19$m=1048576,t=1,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=65536,t=1000,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=65536,t=0,p=1${salt}${hash}"),
            format!("$argon2id$v=20$m=65536,t=1,p=1${salt}${hash}"),
            format!("$argon2id$v=19$t=1,m=65536,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=65536,t=1,p=1${salt}$aGFzaA"),
            format!("$scrypt$ln=20,r=8,p=1${salt}${hash}"),
            format!("$scrypt$ln=63,r=8,p=1${salt}${hash}"),
            format!("$scrypt$ln=14,r=8,p=4294967295${salt}${hash}"),
            format!("$scrypt$ln=0,r=7,p=4294967295${salt}${hash}"),
            format!("$scrypt$ln=0,r=4294967295,p=16${salt}${hash}"),
            format!("$argon2id$v=19$m=64,t=1,p=1$c2FsdA${hash}"),
            format!("$fbscrypt$v=1,n=20,r=8,p=1,ss=Bw==,sk={hash}${salt}${hash}"),
            format!("$fbscrypt$v=1,n=63,r=8,p=1,ss=Bw==,sk={hash}${salt}${hash}"),
            format!("$fbscrypt$v=1,n=300,r=8,p=1,ss=Bw==,sk={hash}${salt}${hash}"),
            format!("$fbscrypt$v=1,n=14,r=8,p=17,ss=Bw==,sk={hash}${salt}${hash}"),
            format!("$fbscrypt$v=2,n=14,r=8,p=1,ss=Bw==,sk={hash}${salt}${hash}"),
            format!("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk={salt}${salt}${hash}"),
            format!("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==${salt}${hash}"),
            format!("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=${salt}$"),
            format!("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk={hash},x=1${salt}${hash}"),
            format!("$fbscrypt$v=1,n=14,r=8,p=1,ss={},sk={hash}${salt}${hash}", "Bw".repeat(50)),
            format!("$pbkdf2-sha256$i=100000000${salt}${hash}"),
            format!("$pbkdf2-sha256$i=0${salt}${hash}"),
            format!("pbkdf2_sha1$1000$salt${hash}="),
        ] {
            assert!(acceptable(&kept).is_err(), "{kept}");
        }
    }

    /// Otherwise an account that came from elsewhere would be told from none by its time.
    #[test]
    fn what_nobody_has_costs_what_the_form_says() {
        for (_, kept) in ELSEWHERE {
            let form = form(kept).expect("known");
            let of_nobody = form.of_nobody(&Random::system());

            assert_eq!(super::form(&of_nobody), Some(form), "{of_nobody}");
            assert!(!is_right(&of_nobody, &secret("")), "{of_nobody}");
        }
    }
}
