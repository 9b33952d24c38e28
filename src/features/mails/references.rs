//! What marks a mail as ours: a part of its Message-ID that only this server can make.
//!
//! Anybody can write a report about a mail. One is believed only if it has the Message-ID of a mail that went to the address
//! that it is about: the mark is made of the id of the mail and the address (HMAC-SHA-256), so nothing need be kept, and
//! nobody marks off an address whose mails they have not seen.
use aws_lc_rs::hmac;
use data_encoding::{BASE32_NOPAD, Encoding};
use subtle::ConstantTimeEq as _;

use super::model::MailId;
use crate::base::TenantId;
use crate::base::text::normalize_email;
use crate::features::server_keys::ServerKey;

/// As much of the HMAC as stands in a Message-ID.
const MARK_BYTES: usize = 16;
/// Letters and digits only: what is between dots of a Message-ID (RFC 5322 section 3.6.4), whoever passes it on.
const LETTERS: Encoding = BASE32_NOPAD;

/// Makes and knows the marks.
pub struct References(hmac::Key);

impl std::fmt::Debug for References {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("References")
    }
}

impl References {
    pub fn new(key: &ServerKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.reveal()))
    }

    /// What stands before the `@` of the Message-ID of a mail: its id, and the mark.
    pub(super) fn reference(&self, tenant: &TenantId, id: MailId, to: &str) -> String {
        format!("{id}.{}", self.mark(tenant, id, to))
    }

    /// Whether a Message-ID, without its angle brackets, is that of a mail that we sent to this address.
    pub(super) fn is_of(&self, tenant: &TenantId, message_id: &str, to: &str) -> bool {
        let known = || {
            let (reference, _) = message_id.rsplit_once('@')?;
            let (id, mark) = reference.split_once('.')?;
            let expected = self.mark(tenant, id.parse().ok()?, to);
            Some(bool::from(mark.to_ascii_lowercase().as_bytes().ct_eq(expected.as_bytes())))
        };
        known().unwrap_or(false)
    }

    fn mark(&self, tenant: &TenantId, id: MailId, to: &str) -> String {
        let to = normalize_email(to).unwrap_or_else(|_| to.to_owned());
        let mut context = hmac::Context::with_key(&self.0);
        for part in [b"mail", tenant.as_str().as_bytes(), id.uuid().as_bytes(), to.as_bytes()] {
            context.update(part);
            context.update(b"\0");
        }
        LETTERS.encode(&context.sign().as_ref()[..MARK_BYTES]).to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Clock, Random, Secret};

    #[test]
    fn a_reference_is_known_again_for_its_address_and_by_its_server_alone() {
        let references = References::new(&Secret::new([1; 32]));
        let (main, random) = (TenantId::main(), Random::counting());
        let id = random.id(&Clock::system());
        let own = format!("{}@example.com", references.reference(&main, id, "Ada@example.com"));

        assert!(references.is_of(&main, &own, "ada@Example.com"));
        assert!(references.is_of(&main, &own.to_ascii_uppercase(), "ada@example.com"));
        assert!(!references.is_of(&main, &own, "grace@example.com"));
        assert!(!References::new(&Secret::new([2; 32])).is_of(&main, &own, "ada@example.com"));
        for other in ["", "@", ".@", "a.b@c", &own.replace('@', "x@"), own.trim_end_matches("@example.com")] {
            assert!(!references.is_of(&main, other, "ada@example.com"), "{other}");
        }
        let another: MailId = random.id(&Clock::system());
        assert!(!references.is_of(&main, &own.replace(&id.to_string(), &another.to_string()), "ada@example.com"));
    }
}
