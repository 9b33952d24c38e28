//! Devices that someone signed in on before, known by a token that they show when they sign in again.
//!
//! Wrong guesses of strangers lock an account for a while. Its owner comes in all the same from a device that is known:
//! what is guessed there is counted for that device alone ("device cookies", as OWASP has them). A token lets nobody in by
//! itself.
//!
//! The token is the device's id, the account's, when it was made and how often the account's password had been replaced by
//! then, signed with a key of the server. Nothing is stored of it but that count: a new password makes all tokens from
//! before worthless, but those of the device that it was chosen on.
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::api::AccountsApi;
use super::device_store;
use super::error::Error;
use super::throttle::Guesser;
use super::way::Way;
use crate::base::{Id, TenantId, Timestamp, UserId};
use crate::features::server_keys::ServerKey;
use crate::http::Client;

const PREFIX: &str = "dt_";
/// A device that nobody signed in on for this long is known no more.
const KNOWN_FOR: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Two ids, a moment and a count.
const SIGNED_BYTES: usize = 16 + 16 + 8 + 8;
const TOKEN_BYTES: usize = SIGNED_BYTES + 32;

/// Marks ids of devices.
#[derive(Debug)]
pub(super) enum KnownDevice {}
pub(super) type DeviceId = Id<KnownDevice>;

/// What a token says. Whether the account still knows the device is for its row to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub id: DeviceId,
    pub user: UserId,
    pub made_at: Timestamp,
    /// How often the account's password had been replaced.
    pub generation: i64,
}

/// With what someone comes to sign in.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub client: Client,
    /// Absent: on a device that the account does not know.
    pub device: Option<DeviceId>,
    pub way: Way,
}

impl Arrival {
    /// On a device that is not known.
    pub(super) fn new(client: Client, way: Way) -> Self {
        Self { client, device: None, way }
    }
}

/// Makes and reads the tokens of devices.
pub struct DeviceTokens(hmac::Key);

impl std::fmt::Debug for DeviceTokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("DeviceTokens")
    }
}

impl DeviceTokens {
    pub fn new(key: &ServerKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.reveal()))
    }

    /// The token of a device, for its owner to keep.
    pub(super) fn token(&self, tenant: &TenantId, device: &Device) -> String {
        let signed = [
            device.id.uuid().as_bytes().as_slice(),
            device.user.uuid().as_bytes(),
            &device.made_at.millis().to_be_bytes(),
            &device.generation.to_be_bytes(),
        ]
        .concat();
        let tag = self.tag(tenant, &signed);
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&[&signed, tag.as_ref()].concat()))
    }

    /// Reads a token that we made, and that is not too old.
    pub(super) fn read(&self, tenant: &TenantId, token: &str, now: Timestamp) -> Option<Device> {
        let bytes = BASE64URL_NOPAD.decode(token.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        let (signed, tag) = bytes.split_at_checked(SIGNED_BYTES).filter(|_| bytes.len() == TOKEN_BYTES)?;
        if !bool::from(tag.ct_eq(self.tag(tenant, signed).as_ref())) {
            return None;
        }
        let number = |from: usize| Some(i64::from_be_bytes(signed.get(from..from + 8)?.try_into().ok()?));
        let device = Device {
            id: Id::from_uuid(Uuid::from_slice(&signed[..16]).ok()?),
            user: Id::from_uuid(Uuid::from_slice(&signed[16..32]).ok()?),
            made_at: Timestamp::from_millis(number(32)?),
            generation: number(40)?,
        };
        Some(device).filter(|it| now < it.made_at.plus(KNOWN_FOR))
    }

    fn tag(&self, tenant: &TenantId, signed: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [b"device", tenant.as_str().as_bytes(), signed] {
            context.update(part);
            context.update(b"\0");
        }
        context.sign()
    }
}

impl AccountsApi {
    /// The device that a token shows, if the account with this address knows it. A token that is none is no fault: whoever
    /// has an old one signs in as from anywhere.
    pub(super) async fn known_device(
        &self,
        tenant: &TenantId,
        email: &str,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<DeviceId>, Error> {
        let Some(device) = token.and_then(|it| self.device_tokens.read(tenant, it, now)) else { return Ok(None) };
        let email = email.to_owned();
        let is_known = self.db.get(tenant, move |tx| device_store::is_known(tx, device, &email)).await?;
        Ok(is_known.then_some(device.id))
    }
}

/// Whom a guess at the secrets of an account is counted for.
pub(super) fn guesser(device: Option<DeviceId>, account: &str) -> Guesser<'_> {
    device.map_or(Guesser::Anyone(account), Guesser::Device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Clock, Random, Secret};

    fn tokens(seed: u8) -> DeviceTokens {
        DeviceTokens::new(&Secret::new([seed; 32]))
    }

    fn device() -> Device {
        let (random, clock) = (Random::system(), Clock::system());
        Device { id: random.id(&clock), user: random.id(&clock), made_at: Timestamp::from_millis(1_000), generation: 3 }
    }

    #[test]
    fn a_token_comes_back_whole_or_not_at_all() {
        let (ours, main, other) = (tokens(1), TenantId::main(), "other".parse().expect("a name"));
        let (device, now) = (device(), Timestamp::from_millis(1_000));
        let token = ours.token(&main, &device);

        assert_eq!(ours.read(&main, &token, now), Some(device));
        assert_eq!(ours.read(&other, &token, now), None);
        assert_eq!(tokens(2).read(&main, &token, now), None);
        let bytes = BASE64URL_NOPAD.decode(token.strip_prefix(PREFIX).expect("ours").as_bytes()).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&forged));
            assert_eq!(ours.read(&main, &forged, now), None, "bit {bit}");
        }
        for nothing in ["", PREFIX, "dt_AAAA", &token[1..], &format!("{token}A")] {
            assert_eq!(ours.read(&main, nothing, now), None, "{nothing}");
        }
    }

    #[test]
    fn a_device_is_known_for_a_year_after_the_last_sign_in() {
        let (ours, main, device) = (tokens(1), TenantId::main(), device());
        let token = ours.token(&main, &device);
        let end = device.made_at.plus(KNOWN_FOR);

        assert_eq!(ours.read(&main, &token, end.minus(Duration::from_millis(1))), Some(device));
        assert_eq!(ours.read(&main, &token, end), None);
    }
}
