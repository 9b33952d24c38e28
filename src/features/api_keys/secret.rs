//! The secret of a key: `sk_live_`, 256 random bits in base62, and a checksum of these.
//!
//! Letters and digits alone are marked as one word by a double click, and scanners that look for leaked keys tell a real
//! one by its checksum.
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

use crate::base::{Random, Secret};

const PREFIX: &str = "sk_live_";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// As many digits as 256 bits need.
const RANDOM_CHARS: usize = 43;
/// As many as 32 bits need.
const CHECKSUM_CHARS: usize = 6;
/// Of the end of a secret, in its hint.
const HINT_CHARS: usize = 4;

pub(super) fn make(random: &Random) -> Secret<String> {
    let body = base62(&random.bytes::<32>(), RANDOM_CHARS);
    let checksum = checksum(&body);
    Secret::new(format!("{PREFIX}{body}{checksum}"))
}

/// Whether a text has the form of a key, and was not mistyped.
pub(super) fn is_sound(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX).filter(|it| it.len() == RANDOM_CHARS + CHECKSUM_CHARS) else {
        return false;
    };
    let Some((body, told)) = rest.split_at_checked(RANDOM_CHARS) else { return false };
    body.bytes().all(|it| it.is_ascii_alphanumeric()) && checksum(body) == told
}

/// What is kept of a secret.
pub(super) fn kept(secret: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// What people tell keys apart by.
pub(super) fn hint(secret: &str) -> String {
    let end = secret.len().saturating_sub(HINT_CHARS);
    format!("{PREFIX}…{}", secret.get(end..).unwrap_or_default())
}

fn checksum(body: &str) -> String {
    base62(&crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECKSUM_CHARS)
}

/// A number, most significant byte first, in so many digits.
fn base62(bytes: &[u8], count: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![DIGITS[0]; count];
    for place in digits.iter_mut().rev() {
        let mut rest = 0_u16;
        for byte in &mut number {
            let value = (rest << 8) | u16::from(*byte);
            (*byte, rest) = (u8::try_from(value / 62).unwrap_or(u8::MAX), value % 62);
        }
        *place = DIGITS[usize::from(rest)];
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_base_62() {
        assert_eq!(base62(&[0, 61], 2), "0z");
        assert_eq!(base62(&[0, 62], 2), "10");
        assert_eq!(base62(&[0xff; 32], RANDOM_CHARS).len(), RANDOM_CHARS);
        assert_eq!(base62(&u32::MAX.to_be_bytes(), CHECKSUM_CHARS), "4gfFC3");
    }

    /// Each character counts, and so does their order.
    #[test]
    fn a_key_that_was_mistyped_is_none() {
        let secret = make(&Random::system());
        let secret = secret.reveal();
        assert!(is_sound(secret), "{secret}");

        for place in PREFIX.len()..secret.len() {
            let mut bytes = secret.clone().into_bytes();
            bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
            assert!(!is_sound(&String::from_utf8(bytes).expect("ASCII")), "{place}");
            let mut bytes = secret.clone().into_bytes();
            if place + 1 < secret.len() && bytes[place] != bytes[place + 1] {
                bytes.swap(place, place + 1);
                assert!(!is_sound(&String::from_utf8(bytes).expect("ASCII")), "{place} and the next");
            }
        }
        for wrong in ["", "sk_live_", "sk_test_x", &secret[1..], &format!("{secret}0"), &"é".repeat(40)] {
            assert!(!is_sound(wrong), "{wrong:?}");
        }
    }
}
