//! Codes of an app (TOTP, RFC 6238), and the recovery codes for who has lost it.
//!
//! The secret of an app and the recovery codes are made of the id of a row and a key of the server (HMAC-SHA-256), and
//! kept nowhere. What was used is noted by the row: the step of a code's half minute, a bit for each recovery code.
use aws_lc_rs::hmac;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use subtle::ConstantTimeEq as _;
use totp_rs::{Builder, Secret, Totp};

use super::error::Error;
use crate::base::{Id, TenantId, Timestamp};
use crate::features::server_keys::ServerKey;

/// 160 bits, as RFC 4226 recommends.
const SECRET_BYTES: usize = 20;
/// Half minutes before and after the present one whose codes work: for clocks that go wrong.
const SKEW: u16 = 1;
/// Recovery codes in a set.
pub(super) const RECOVERY_CODES: u32 = 10;
/// Characters of a recovery code: 50 bits.
const RECOVERY_CHARS: usize = 10;
/// Without letters that look like digits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Pixels of the picture's edge, at least.
const PICTURE_PIXELS: u32 = 200;

/// Marks ids of second factors.
#[derive(Debug)]
pub(super) enum SecondFactor {}
pub(super) type FactorId = Id<SecondFactor>;

/// A second factor as the database knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Factor {
    pub id: FactorId,
    pub is_confirmed: bool,
    pub recovery_round: i64,
    pub recovery_used: i64,
}

/// What someone showed, and what is used up by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// A code of the app: all up to its step.
    Step(i64),
    /// A recovery code, by its place in the set.
    Recovery(u32),
}

/// Makes and checks codes.
pub struct SecondFactors(hmac::Key);

impl std::fmt::Debug for SecondFactors {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SecondFactors")
    }
}

impl SecondFactors {
    pub fn new(key: &ServerKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.reveal()))
    }

    /// What a code shows, if it is one of the app's or a recovery code. Whether it was used is for the row to say.
    pub(super) fn proof(&self, tenant: &TenantId, factor: &Factor, typed: &str, now: Timestamp) -> Option<Proof> {
        let typed: String = typed.chars().filter(|it| !it.is_whitespace() && *it != '-').take(32).collect();
        let typed = typed.to_ascii_lowercase();
        if typed.bytes().all(|it| it.is_ascii_digit()) && typed.len() == 6 {
            let step = self.app(tenant, factor.id, None, "").check(&typed, now.seconds().unsigned_abs())?;
            return Some(Proof::Step(i64::try_from(step).unwrap_or(i64::MAX)));
        }
        let is_it = |at: &u32| bool::from(self.recovery(tenant, factor, *at).as_bytes().ct_eq(typed.as_bytes()));
        (0..RECOVERY_CODES).find(is_it).map(Proof::Recovery)
    }

    /// The secret as it is typed into an app, and the address that brings it there as a picture.
    pub(super) fn shown(
        &self,
        tenant: &TenantId,
        factor: FactorId,
        issuer: &str,
        account: &str,
    ) -> Result<(String, String), Error> {
        // A colon ends the issuer in such an address.
        let issuer = issuer.replace(':', " ");
        let app = self.app(tenant, factor, Some(&issuer), &account.replace(':', " "));
        Ok((app.secret().to_base32(), app.to_url().map_err(|_| Error::Picture)?))
    }

    /// The recovery codes of a set, in two groups each.
    pub(super) fn recovery_codes(&self, tenant: &TenantId, factor: &Factor) -> Vec<String> {
        let grouped = |code: String| format!("{}-{}", &code[..RECOVERY_CHARS / 2], &code[RECOVERY_CHARS / 2..]);
        (0..RECOVERY_CODES).map(|at| grouped(self.recovery(tenant, factor, at))).collect()
    }

    fn app(&self, tenant: &TenantId, factor: FactorId, issuer: Option<&str>, account: &str) -> Totp {
        let tag = self.tag(b"app", tenant, factor, 0, 0);
        Builder::new()
            .with_secret(Secret::from(tag.as_ref()[..SECRET_BYTES].to_vec()))
            .with_skew(SKEW)
            .with_issuer(issuer.map(ToOwned::to_owned))
            .with_account_name(account)
            .build_noncompliant()
    }

    fn recovery(&self, tenant: &TenantId, factor: &Factor, at: u32) -> String {
        let tag = self.tag(b"recovery", tenant, factor.id, factor.recovery_round, at);
        tag.as_ref()[..RECOVERY_CHARS].iter().map(|it| char::from(ALPHABET[usize::from(it & 31)])).collect()
    }

    fn tag(&self, form: &[u8], tenant: &TenantId, factor: FactorId, round: i64, at: u32) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [b"second-factor", form, tenant.as_str().as_bytes(), factor.uuid().as_bytes()] {
            context.update(part);
            context.update(b"\0");
        }
        context.update(&round.to_be_bytes());
        context.update(&at.to_be_bytes());
        context.sign()
    }
}

/// An address as a picture that apps read with a camera.
pub(super) fn picture(address: &str) -> Result<String, Error> {
    let code = QrCode::with_error_correction_level(address, EcLevel::M).map_err(|_| Error::Picture)?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(PICTURE_PIXELS, PICTURE_PIXELS).build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Clock, Random};

    fn factors() -> SecondFactors {
        SecondFactors::new(&crate::base::Secret::new([1; 32]))
    }

    fn factor() -> Factor {
        let id = Random::system().id(&Clock::system());
        Factor { id, is_confirmed: true, recovery_round: 0, recovery_used: 0 }
    }

    #[test]
    fn a_code_works_in_its_half_minute_and_those_beside_it() {
        let (ours, main, factor) = (factors(), TenantId::main(), factor());
        let code = ours.app(&main, factor.id, None, "").generate(1_000 * 30).to_string();
        let at = |step: i64| Timestamp::from_millis(step * 30_000);

        for step in 999..=1_001 {
            assert_eq!(ours.proof(&main, &factor, &code, at(step)), Some(Proof::Step(1_000)), "{step}");
        }
        assert_eq!(ours.proof(&main, &factor, &code, at(998)), None);
        assert_eq!(ours.proof(&main, &factor, &code, at(1_002)), None);
        let other = Factor { id: Random::system().id(&Clock::system()), ..factor };
        assert_eq!(ours.proof(&main, &other, &code, at(1_000)), None, "another app");
    }

    #[test]
    fn a_recovery_code_is_told_by_its_place_however_it_is_typed() {
        let (ours, main, factor) = (factors(), TenantId::main(), factor());
        let codes = ours.recovery_codes(&main, &factor);
        let now = Timestamp::from_millis(0);

        assert_eq!(codes.len(), RECOVERY_CODES as usize);
        for (at, code) in codes.iter().enumerate() {
            let expected = Some(Proof::Recovery(u32::try_from(at).expect("small")));
            assert_eq!(ours.proof(&main, &factor, code, now), expected);
            assert_eq!(ours.proof(&main, &factor, &code.to_uppercase().replace('-', " "), now), expected);
        }
        let next = Factor { recovery_round: 1, ..factor };
        assert_eq!(ours.proof(&main, &next, &codes[0], now), None, "of the set before");
        assert_eq!(ours.proof(&main, &factor, "", now), None);
    }

    #[test]
    fn the_address_for_an_app_names_the_product_and_the_account() {
        let (ours, main) = (factors(), TenantId::main());
        let (secret, address) = ours.shown(&main, factor().id, "My: Notes", "ada@example.com").expect("shown");

        assert!(address.starts_with("otpauth://totp/"), "{address}");
        assert!(address.contains(&format!("secret={secret}")) && address.contains("ada"), "{address}");
        assert!(picture(&address).expect("a picture").contains("<svg"));
    }
}
