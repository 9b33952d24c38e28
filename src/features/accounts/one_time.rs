//! Secrets that are sent by mail and work once: links, and codes that are typed.
//!
//! Neither is stored. Both are made of the id of a row and a key of the server (HMAC-SHA-256): a stolen copy of the
//! accounts opens nothing, and a mail that is sent again says the same. The purpose is part of what is signed, so that a
//! link for one thing never does another. Using one up removes its row, in the transaction of what it is used for; of
//! fifty who race, one finds it.
use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::devices::DeviceId;
use crate::base::{Id, TenantId, Timestamp, UserId};
use crate::features::server_keys::ServerKey;

const PREFIX: &str = "ot_";
/// The id of a row and an HMAC-SHA-256.
const LINK_BYTES: usize = 16 + 32;
/// Digits of a code: with the few guesses that are let through, one in four million is right.
const CODE_DIGITS: usize = 8;

/// Marks ids of secrets that work once.
#[derive(Debug)]
pub(super) enum OneTimeSecret {}
pub(super) type OneTimeId = Id<OneTimeSecret>;

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    VerifyEmail,
    ResetPassword,
    SignIn,
    ChangeEmail,
    /// Not sent by mail: it stands for a password that was right, until a second factor is shown.
    SecondFactor,
    /// Its row is an invitation.
    Invitation,
}

impl Purpose {
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email",
            Self::ResetPassword => "reset-password",
            Self::SignIn => "sign-in",
            Self::ChangeEmail => "change-email",
            Self::SecondFactor => "second-factor",
            Self::Invitation => "invitation",
        }
    }
}

impl Purpose {
    /// Whether its mail has a code beside the link.
    pub const fn has_code(self) -> bool {
        matches!(self, Self::VerifyEmail | Self::ResetPassword | Self::SignIn)
    }
}

/// A secret as the database knows it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub id: OneTimeId,
    pub user: UserId,
    pub purpose: Purpose,
    /// That it was sent to.
    pub email: String,
    /// On which known device a second factor is asked for.
    pub device: Option<DeviceId>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Makes and checks links and codes.
pub struct OneTimeSecrets(hmac::Key);

impl std::fmt::Debug for OneTimeSecrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("OneTimeSecrets")
    }
}

impl OneTimeSecrets {
    pub fn new(key: &ServerKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.reveal()))
    }

    /// The secret in a link.
    pub(super) fn link(&self, tenant: &TenantId, purpose: Purpose, id: OneTimeId) -> String {
        let tag = self.tag(b"link", tenant, purpose, id);
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&[id.uuid().as_bytes(), tag.as_ref()].concat()))
    }

    /// Reads the secret of a link that we made for this purpose. Whether it still works is for its row to say.
    pub(super) fn read_link(&self, tenant: &TenantId, purpose: Purpose, link: &str) -> Option<OneTimeId> {
        let bytes = BASE64URL_NOPAD.decode(link.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        let (id, tag) = bytes.split_at_checked(16).filter(|_| bytes.len() == LINK_BYTES)?;
        let id = Id::from_uuid(Uuid::from_slice(id).ok()?);
        bool::from(tag.ct_eq(self.tag(b"link", tenant, purpose, id).as_ref())).then_some(id)
    }

    /// The code that does the same as the link.
    pub(super) fn code(&self, tenant: &TenantId, purpose: Purpose, id: OneTimeId) -> String {
        let tag = self.tag(b"code", tenant, purpose, id);
        let mut number = [0; 8];
        number.copy_from_slice(&tag.as_ref()[..8]);
        // That 2^64 is no multiple of 10^8 makes some codes more likely by less than one in 10^11.
        let number = u64::from_be_bytes(number) % 10_u64.pow(CODE_DIGITS as u32);
        format!("{number:0CODE_DIGITS$}")
    }

    /// Whether a code is that of the secret. Spaces and dashes between its digits do not count.
    pub(super) fn is_code(&self, tenant: &TenantId, purpose: Purpose, id: OneTimeId, typed: &str) -> bool {
        bool::from(digits(typed).as_bytes().ct_eq(self.code(tenant, purpose, id).as_bytes()))
    }

    /// By what a code is known again that was typed for an account, without keeping it.
    pub(super) fn code_digest(&self, tenant: &TenantId, purpose: Purpose, email: &str, typed: &str) -> String {
        let typed = digits(typed);
        let mut context = hmac::Context::with_key(&self.0);
        for part in
            [b"typed", tenant.as_str().as_bytes(), purpose.name().as_bytes(), email.as_bytes(), typed.as_bytes()]
        {
            context.update(part);
            context.update(b"\0");
        }
        BASE64URL_NOPAD.encode(context.sign().as_ref())
    }

    fn tag(&self, form: &[u8], tenant: &TenantId, purpose: Purpose, id: OneTimeId) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [b"one-time", form, tenant.as_str().as_bytes(), purpose.name().as_bytes(), id.uuid().as_bytes()] {
            context.update(part);
            context.update(b"\0");
        }
        context.sign()
    }
}

/// What was typed, without what people put between digits.
fn digits(typed: &str) -> String {
    typed.chars().filter(|it| !it.is_whitespace() && *it != '-').take(CODE_DIGITS + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Clock, Random, Secret};

    fn secrets(seed: u8) -> OneTimeSecrets {
        OneTimeSecrets::new(&Secret::new([seed; 32]))
    }

    fn id() -> OneTimeId {
        Random::system().id(&Clock::system())
    }

    #[test]
    fn a_link_comes_back_whole_for_its_purpose_and_tenant_or_not_at_all() {
        let (ours, main, other) = (secrets(1), TenantId::main(), "other".parse().expect("a name"));
        let id = id();
        let link = ours.link(&main, Purpose::ResetPassword, id);

        assert_eq!(ours.read_link(&main, Purpose::ResetPassword, &link), Some(id));
        assert_eq!(ours.read_link(&main, Purpose::SignIn, &link), None);
        assert_eq!(ours.read_link(&other, Purpose::ResetPassword, &link), None);
        assert_eq!(secrets(2).read_link(&main, Purpose::ResetPassword, &link), None);
        let bytes = BASE64URL_NOPAD.decode(link.strip_prefix(PREFIX).expect("ours").as_bytes()).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&forged));
            assert_eq!(ours.read_link(&main, Purpose::ResetPassword, &forged), None, "bit {bit}");
        }
        for nothing in ["", PREFIX, "ot_AAAA", &link[1..], &format!("{link}A")] {
            assert_eq!(ours.read_link(&main, Purpose::ResetPassword, nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_code_is_eight_digits_and_may_be_typed_in_groups() {
        let (ours, main, id) = (secrets(1), TenantId::main(), id());
        let code = ours.code(&main, Purpose::SignIn, id);

        assert!(code.len() == CODE_DIGITS && code.bytes().all(|it| it.is_ascii_digit()), "{code}");
        let is = |typed: &str| ours.is_code(&main, Purpose::SignIn, id, typed);
        assert!(
            is(&code)
                && is(&format!(" {} {} ", &code[..4], &code[4..]))
                && is(&format!("{}-{}", &code[..4], &code[4..]))
        );
        assert!(!is("") && !is(&code[1..]) && !is(&format!("{code}0")));
        assert_ne!(ours.code(&main, Purpose::ResetPassword, id), code, "another purpose, another code");
    }
}
