//! How a secret is closed and opened: envelopes of AES-256-GCM.
//!
//! A secret has a key of its own, which closes nothing else. That is closed with a key which is made of the master key and
//! 128 random bits (HMAC-SHA-256), with a random nonce beside: 224 random bits, so that however many are closed with one
//! master key, no key meets a nonce twice.
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use zeroize::Zeroize as _;

use crate::base::{Random, Secret, TenantId, UserId};

const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
/// Of the digest that a master key is known by.
const ID_BYTES: usize = 8;

/// Closes keys of secrets.
#[derive(Clone, Debug)]
pub(super) struct MasterKey {
    /// Made of the key, and the same wherever it comes from.
    pub id: String,
    key: Secret<[u8; KEY_BYTES]>,
}

impl MasterKey {
    pub fn new(key: Secret<[u8; KEY_BYTES]>) -> Self {
        let digest = digest(&SHA256, &[b"steading-master-key\0", key.reveal().as_slice()].concat());
        Self { id: HEXLOWER.encode(&digest.as_ref()[..ID_BYTES]), key }
    }

    pub fn reveal(&self) -> &[u8; KEY_BYTES] {
        self.key.reveal()
    }

    /// The key that closes one key of a secret.
    fn wrapping(&self, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.reveal());
        let made = hmac::sign(&key, &[b"steading-secret-key\0", salt].concat());
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, made.as_ref())?))
    }
}

/// Whose a secret is, and what it is called. It opens nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub tenant: TenantId,
    pub user: UserId,
    pub name: String,
}

impl Place {
    /// None of the parts has a zero byte.
    fn told(&self, what: &str) -> Vec<u8> {
        [what, self.tenant.as_str(), &self.user.to_string(), &self.name].join("\0").into_bytes()
    }
}

/// A secret as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    /// 128 bits that the wrapping key is made with, a nonce, the key closed.
    pub wrapped_key: Vec<u8>,
    /// A nonce, the secret closed.
    pub value: Vec<u8>,
}

pub(super) fn seal(master: &MasterKey, place: &Place, value: &str, random: &Random) -> Result<Sealed, Unspecified> {
    let key = Secret::new(random.bytes::<KEY_BYTES>());
    let wrapped_key = wrap(master, place, &key, random)?;
    let value = close(&unbound(key.reveal())?, random.bytes(), &place.told("value"), value.as_bytes())?;
    Ok(Sealed { wrapped_key, value })
}

/// The secret; an error if it was closed with another key, for another place, or changed since.
pub(super) fn open(master: &MasterKey, place: &Place, sealed: &Sealed) -> Result<Secret<String>, Unspecified> {
    let key = unwrap(master, place, &sealed.wrapped_key)?;
    let value = open_bytes(&unbound(key.reveal())?, &place.told("value"), &sealed.value)?;
    String::from_utf8(value).map(Secret::new).map_err(|cause| {
        cause.into_bytes().zeroize();
        Unspecified
    })
}

/// The key of a secret, closed with another master key. The secret stays closed.
pub(super) fn rewrap(
    from: &MasterKey,
    to: &MasterKey,
    place: &Place,
    wrapped_key: &[u8],
    random: &Random,
) -> Result<Vec<u8>, Unspecified> {
    wrap(to, place, &unwrap(from, place, wrapped_key)?, random)
}

fn wrap(
    master: &MasterKey,
    place: &Place,
    key: &Secret<[u8; KEY_BYTES]>,
    random: &Random,
) -> Result<Vec<u8>, Unspecified> {
    let salt = random.bytes::<SALT_BYTES>();
    let closed = close(&master.wrapping(&salt)?, random.bytes(), &place.told("key"), key.reveal())?;
    Ok([&salt[..], &closed].concat())
}

fn unwrap(master: &MasterKey, place: &Place, wrapped: &[u8]) -> Result<Secret<[u8; KEY_BYTES]>, Unspecified> {
    let (salt, closed) = wrapped.split_at_checked(SALT_BYTES).ok_or(Unspecified)?;
    let mut bytes = open_bytes(&master.wrapping(salt)?, &place.told("key"), closed)?;
    let key = bytes.as_slice().try_into().map(Secret::new);
    bytes.zeroize();
    key.map_err(|_| Unspecified)
}

fn unbound(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, Unspecified> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?))
}

/// A nonce, and after it what was closed.
fn close(key: &LessSafeKey, nonce: [u8; NONCE_LEN], place: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
    // With room for all of it from the beginning: a move would leave what is plain behind.
    let mut bytes = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
    bytes.extend_from_slice(plain);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut bytes)?;
    Ok([&nonce[..], &bytes].concat())
}

fn open_bytes(key: &LessSafeKey, place: &[u8], closed: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let (nonce, closed) = closed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
    let mut bytes = closed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    let length = key.open_in_place(nonce, Aad::from(place), &mut bytes)?.len();
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Clock;

    fn master(seed: u8) -> MasterKey {
        MasterKey::new(Secret::new([seed; KEY_BYTES]))
    }

    fn place() -> Place {
        Place { tenant: TenantId::main(), user: Random::system().id(&Clock::system()), name: "openai".to_owned() }
    }

    #[test]
    fn a_secret_opens_with_its_master_key_in_its_place_and_nowhere_else() {
        let (random, place) = (Random::system(), place());
        let sealed = seal(&master(1), &place, "sk-1234", &random).expect("sealed");
        let opens = |it: &Place| open(&master(1), it, &sealed).is_ok();

        assert_eq!(open(&master(1), &place, &sealed).expect("opened").reveal(), "sk-1234");
        assert!(open(&master(2), &place, &sealed).is_err());
        assert!(!opens(&Place { tenant: "other".parse().expect("a name"), ..place.clone() }));
        assert!(!opens(&Place { user: random.id(&Clock::system()), ..place.clone() }));
        assert!(!opens(&Place { name: "openai2".to_owned(), ..place.clone() }));
    }

    /// The parts of two secrets do not make a third.
    #[test]
    fn no_bit_can_be_changed_and_no_part_exchanged() {
        let (random, place) = (Random::system(), place());
        let sealed = seal(&master(1), &place, "sk-1234", &random).expect("sealed");
        let other = seal(&master(1), &place, "sk-5678", &random).expect("sealed");
        let broken = |sealed: Sealed| open(&master(1), &place, &sealed).is_err();

        assert!(broken(Sealed { value: other.value.clone(), ..sealed.clone() }));
        assert!(broken(Sealed { wrapped_key: other.wrapped_key, ..sealed.clone() }));
        for bit in 0..sealed.value.len() * 8 {
            let mut value = sealed.value.clone();
            value[bit / 8] ^= 1 << (bit % 8);
            assert!(broken(Sealed { value, ..sealed.clone() }), "bit {bit}");
        }
        for bit in 0..sealed.wrapped_key.len() * 8 {
            let mut wrapped_key = sealed.wrapped_key.clone();
            wrapped_key[bit / 8] ^= 1 << (bit % 8);
            assert!(broken(Sealed { wrapped_key, ..sealed.clone() }), "bit {bit}");
        }
        for length in 0..sealed.value.len() {
            assert!(broken(Sealed { value: sealed.value[..length].to_vec(), ..sealed.clone() }), "{length} bytes");
        }
        assert!(broken(Sealed { wrapped_key: Vec::new(), ..sealed }));
    }

    #[test]
    fn another_master_key_opens_what_was_closed_anew_and_the_one_before_does_not() {
        let (random, place) = (Random::system(), place());
        let sealed = seal(&master(1), &place, "sk-1234", &random).expect("sealed");

        let wrapped_key = rewrap(&master(1), &master(2), &place, &sealed.wrapped_key, &random).expect("closed anew");

        let anew = Sealed { wrapped_key, ..sealed.clone() };
        assert_eq!(open(&master(2), &place, &anew).expect("opened").reveal(), "sk-1234");
        assert!(open(&master(1), &place, &anew).is_err());
        assert!(rewrap(&master(2), &master(1), &place, &sealed.wrapped_key, &random).is_err());
    }

    #[test]
    fn the_same_secret_is_closed_differently_each_time_and_shows_nothing_of_itself() {
        let (random, place) = (Random::system(), place());
        let [one, other] = [(); 2].map(|()| seal(&master(1), &place, "sk-1234", &random).expect("sealed"));

        assert!(one.value != other.value && one.wrapped_key != other.wrapped_key);
        assert!(!one.value.windows(7).any(|it| it == b"sk-1234"));
        assert_eq!(format!("{:?}", master(1)), format!("MasterKey {{ id: {:?}, key: [secret] }}", master(1).id));
    }
}
