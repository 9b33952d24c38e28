//! A private key that the operator keeps, as other programs write it: PEM (RFC 7468).
use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use data_encoding::BASE64;

use super::Secret;

/// A key that signs.
pub enum PrivateKey {
    /// Of at least 2048 bits: shorter ones are refused by those who verify (RFC 8301 section 3.2).
    Rsa(rsa::KeyPair),
    Ed25519(Ed25519KeyPair),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PrivateKey::{}", self.algorithm())
    }
}

impl PrivateKey {
    /// Reads an RSA key (PKCS #1, RFC 8017, or PKCS #8) or an Ed25519 key (PKCS #8, RFC 8410). What is wrong is told
    /// without a byte of the key.
    pub fn from_pem(text: &str) -> Result<Self, &'static str> {
        let (label, der) = read_pem(text).ok_or("must be a private key in the PEM format")?;
        let der = der.reveal().as_slice();
        let rsa = |read: fn(&[u8]) -> Result<rsa::KeyPair, aws_lc_rs::error::KeyRejected>| {
            read(der).map(Self::Rsa).map_err(|why| match why.to_string().as_str() {
                "TooSmall" => "must have at least 2048 bits, if it is an RSA key",
                _ => "must be an RSA key of 2048 to 8192 bits, or an Ed25519 key",
            })
        };
        match label {
            "RSA PRIVATE KEY" => rsa(rsa::KeyPair::from_der),
            "PRIVATE KEY" => match Ed25519KeyPair::from_pkcs8(der) {
                Ok(key) => Ok(Self::Ed25519(key)),
                Err(_) => rsa(rsa::KeyPair::from_pkcs8),
            },
            "ENCRYPTED PRIVATE KEY" => Err("must be a key without a password"),
            _ => Err("must be a private key in the PEM format: RSA or Ed25519"),
        }
    }

    /// Its name, as DKIM and others write it: `rsa` or `ed25519` (RFC 8463 section 3).
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa",
            Self::Ed25519(_) => "ed25519",
        }
    }

    /// The public key: of RSA its SubjectPublicKeyInfo (RFC 5280), of Ed25519 its 32 bytes. Nothing: it has none, which
    /// does not happen with a key that could be read.
    pub fn public(&self) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => {
                let der: PublicKeyX509Der<'static> = key.public_key().as_der().ok()?;
                Some(der.as_ref().to_vec())
            }
            Self::Ed25519(key) => Some(key.public_key().as_ref().to_vec()),
        }
    }

    /// Signs a text: RSA with PKCS #1 v1.5 and SHA-256, Ed25519 as it is. Nothing if it cannot, for want of memory.
    pub fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ed25519(key) => Some(key.sign(text).as_ref().to_vec()),
        }
    }
}

/// The first block of a PEM text: what it says that it is, and its bytes.
fn read_pem(text: &str) -> Option<(&str, Secret<Vec<u8>>)> {
    let (label, rest) = text.split_once("-----BEGIN ")?.1.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body = Secret::new(body.split_ascii_whitespace().collect::<String>());
    Some((label, Secret::new(BASE64.decode(body.reveal().as_bytes()).ok()?)))
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// The first key of RFC 8032 section 7.1, and its public key.
    const ED25519_SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const ED25519_PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    /// What stands before it in PKCS #8 (RFC 8410 section 7).
    const ED25519_HEAD: &str = "302e020100300506032b657004220420";

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
    }

    #[test]
    fn keys_are_read_as_other_programs_write_them() {
        let der = HEXLOWER.decode(format!("{ED25519_HEAD}{ED25519_SEED}").as_bytes()).expect("bytes");
        let key = PrivateKey::from_pem(&pem("PRIVATE KEY", &der)).expect("a key");

        assert_eq!(key.algorithm(), "ed25519");
        assert_eq!(HEXLOWER.encode(&key.public().expect("public")), ED25519_PUBLIC);
        let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'static> = rsa.as_der().expect("written");
        let key = PrivateKey::from_pem(&pem("PRIVATE KEY", der.as_ref())).expect("a key");
        assert_eq!((key.algorithm(), key.sign(b"text").expect("signed").len()), ("rsa", 256));
        // A PKCS #8 key holds that of PKCS #1 at its end, after 26 bytes that say what it is (RFC 5208).
        let key = PrivateKey::from_pem(&pem("RSA PRIVATE KEY", &der.as_ref()[26..])).expect("a key");
        assert_eq!(key.algorithm(), "rsa");
        assert_eq!(format!("{key:?}"), "PrivateKey::rsa");
    }

    #[test]
    fn what_is_no_key_is_refused_without_a_byte_of_it() {
        for (text, expected) in [
            ("", "in the PEM format"),
            ("-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----", "in the PEM format"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n", "in the PEM format"),
            (&pem("PRIVATE KEY", b"no key"), "or an Ed25519 key"),
            (&pem("RSA PRIVATE KEY", &[0x30; 600]), "or an Ed25519 key"),
            (&pem("ENCRYPTED PRIVATE KEY", b"x"), "without a password"),
            (&pem("EC PRIVATE KEY", b"x"), "RSA or Ed25519"),
            (&pem("PUBLIC KEY", b"x"), "RSA or Ed25519"),
        ] {
            let why = PrivateKey::from_pem(text).expect_err("refused");
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
