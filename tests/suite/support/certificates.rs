//! Certificates for tests, made by hand: of an authority, and of servers that it vouches for.
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64;

/// ECDSA with SHA-256.
const ALGORITHM: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// When a certificate is valid.
pub const NOW: (&str, &str) = ("20200101000000Z", "20990101000000Z");
pub const LONG_AGO: (&str, &str) = ("20200101000000Z", "20200201000000Z");

/// A certificate with its key, both as the DER that they are.
pub struct Certificate {
    pub der: Vec<u8>,
    pub key: Vec<u8>,
    name: &'static str,
    pair: EcdsaKeyPair,
}

impl Certificate {
    /// One that vouches for others.
    pub fn of_authority(name: &'static str) -> Self {
        Self::made(name, None, NOW)
    }

    /// One of a server, for which this one vouches.
    pub fn vouch(&self, host: &'static str, valid: (&str, &str)) -> Self {
        Self::made(host, Some(self), valid)
    }

    fn made(name: &'static str, by: Option<&Self>, (from, until): (&str, &str)) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        let key = pair.to_pkcs8v1().expect("a key").as_ref().to_vec();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a key");
        let algorithm = sequence(&[tagged(0x06, ALGORITHM)]);
        let time = |it: &str| tagged(0x18, it.as_bytes());
        let (member, value) = match by {
            Some(_) => (SUBJECT_ALT_NAME, sequence(&[tagged(0x82, name.as_bytes())])),
            None => (BASIC_CONSTRAINTS, sequence(&[tagged(0x01, &[0xff])])),
        };
        let extensions = sequence(&[sequence(&[tagged(0x06, member), tagged(0x04, &value)])]);
        let body = sequence(&[
            tagged(0xa0, &tagged(0x02, &[2])),
            tagged(0x02, &[1]),
            algorithm.clone(),
            named(by.map_or(name, |it| it.name)),
            sequence(&[time(from), time(until)]),
            named(name),
            public.as_ref().to_vec(),
            tagged(0xa3, &extensions),
        ]);
        let signer = by.map_or(&pair, |it| &it.pair);
        let signature = signer.sign(&SystemRandom::new(), &body).expect("signed");
        let signature = tagged(0x03, &[&[0], signature.as_ref()].concat());
        let der = sequence(&[body, algorithm, signature]);
        Self { der, key, name, pair }
    }

    /// The certificate as a file has it.
    pub fn pem(&self) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(&self.der))
    }
}

fn named(name: &str) -> Vec<u8> {
    let attribute = sequence(&[tagged(0x06, COMMON_NAME), tagged(0x0c, name.as_bytes())]);
    sequence(&[tagged(0x31, &attribute)])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

/// A tag, the length and the content.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("short").to_be_bytes();
    let length = match content.len() {
        0..0x80 => vec![length[1]],
        0x80..0x100 => vec![0x81, length[1]],
        _ => vec![0x82, length[0], length[1]],
    };
    [&[tag], length.as_slice(), content].concat()
}
