//! Passwords that leaked most often elsewhere: some 165,000 with eight characters or more, without any network.
//!
//! They are in the binary as a filter and not as a list (a Golomb-coded set, made by `packaging/leaked-passwords`): each is
//! a number, and the differences of the sorted numbers are written in few bits. One password in 8,192 seems to be among
//! them and is not; whoever chose that chooses another.
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};

static FILTER: &[u8] = include_bytes!("../../../assets/leaked-passwords.bin");

/// How many numbers there are, for how many the space was made, and how many bits of a difference are written as they are.
const HEAD_BYTES: usize = 4 + 4 + 1;

/// The filter, unpacked when it is first asked: 650 KB.
static UNPACKED: LazyLock<Filter> = LazyLock::new(|| unpacked(FILTER).unwrap_or_default());

/// What a filter says.
#[derive(Debug, Default)]
struct Filter {
    /// In which the numbers are.
    space: u64,
    /// In their order.
    numbers: Vec<u32>,
}

/// Whether a password leaked often.
pub(super) fn contains(password: &str) -> bool {
    let Filter { space, numbers } = &*UNPACKED;
    number(password, *space).is_some_and(|it| numbers.binary_search(&it).is_ok())
}

/// Nothing, if it is no filter.
fn unpacked(filter: &[u8]) -> Option<Filter> {
    let (head, body) = filter.split_at_checked(HEAD_BYTES)?;
    let count = u32::from_be_bytes(head.get(..4)?.try_into().ok()?);
    let entries = u32::from_be_bytes(head.get(4..8)?.try_into().ok()?);
    let rice_bits = u32::from(head[8]);
    let mut bits = Bits { bytes: body, at: 0 };
    let (mut reached, mut numbers) = (0, Vec::with_capacity(count as usize));
    for _ in 0..count {
        let mut quotient = 0;
        while bits.next()? {
            quotient += 1;
        }
        reached += quotient << rice_bits | bits.take(rice_bits)?;
        numbers.push(u32::try_from(reached).ok()?);
    }
    Some(Filter { space: u64::from(entries) << rice_bits, numbers })
}

/// Where a password stands in a space. Capitals make no other password.
fn number(password: &str, space: u64) -> Option<u32> {
    let digest = digest(&SHA256, password.to_lowercase().as_bytes());
    let beginning = u64::from_be_bytes(digest.as_ref().get(..8)?.try_into().ok()?);
    u32::try_from((u128::from(beginning) * u128::from(space)) >> 64).ok()
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn next(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    fn take(&mut self, count: u32) -> Option<u64> {
        let mut number = 0;
        for _ in 0..count {
            number = number << 1 | u64::from(self.next()?);
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaked_often_is_known_in_capitals_too() {
        for password in ["12345678", "password", "iloveyou", "PASSWORD", "Football", "qwertyuiop", "trustno1"] {
            assert!(contains(password), "{password}");
        }
    }

    /// Of ten thousand made-up ones hardly any seems to be among them.
    #[test]
    fn what_nobody_chose_is_not_among_them() {
        let wrong = (0..10_000).filter(|n| contains(&format!("made up {n} for this test"))).count();

        assert!(wrong <= 6, "{wrong}");
        assert!(!contains("") && !contains("correct horse battery staple"));
    }

    #[test]
    fn the_filter_is_whole_and_small() {
        let numbers = &UNPACKED.numbers;

        assert!(100_000 < numbers.len() && FILTER.len() <= 300 << 10, "{} in {}", numbers.len(), FILTER.len());
        assert!(numbers.is_sorted());
        for part in [0, 5, FILTER.len() / 2] {
            assert!(unpacked(&FILTER[..part]).is_none(), "{part} bytes of it");
        }
    }
}
