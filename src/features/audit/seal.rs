//! What the server signs of a trail: where it stood, and where it begins.
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::HEXLOWER;

use super::chain::{self, Hash};
use super::model::AuditCheckpoint;
use crate::base::{TenantId, Timestamp};
use crate::features::server_keys::ServerKey;

/// What tells one sort of signature from another, so that none passes for the other.
const CHECKPOINT: &[u8] = b"steading-audit-checkpoint-1\n";
const ANCHOR: &[u8] = b"steading-audit-anchor-1\n";

/// The key of a server. Cheap to clone.
#[derive(Clone)]
pub struct Seal(Arc<Ed25519KeyPair>);

/// What the newest entry was at some moment.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub seq: i64,
    pub hash: Hash,
    pub at: Timestamp,
    pub signature: Vec<u8>,
}

/// The last of the entries that the server removed.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    pub seq: i64,
    pub hash: Hash,
    pub at: Timestamp,
    pub signature: Vec<u8>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Seal")
    }
}

impl Seal {
    /// The seal that is made of a key of the server.
    pub fn new(key: &ServerKey) -> Result<Self, aws_lc_rs::error::KeyRejected> {
        Ok(Self(Arc::new(Ed25519KeyPair::from_seed_unchecked(key.reveal())?)))
    }

    pub(super) fn public_key(&self) -> String {
        HEXLOWER.encode(self.0.public_key().as_ref())
    }

    pub(super) fn checkpoint(&self, tenant: &TenantId, seq: i64, hash: Hash, at: Timestamp) -> Checkpoint {
        let signature = self.sign(CHECKPOINT, tenant, seq, &hash, at);
        Checkpoint { seq, hash, at, signature }
    }

    pub(super) fn anchor(&self, tenant: &TenantId, seq: i64, hash: Hash, at: Timestamp) -> Anchor {
        let signature = self.sign(ANCHOR, tenant, seq, &hash, at);
        Anchor { seq, hash, at, signature }
    }

    pub(super) fn is_checkpoint(&self, tenant: &TenantId, it: &Checkpoint) -> bool {
        self.is_signed(&chain::signed(CHECKPOINT, tenant.as_str(), it.seq, &it.hash, it.at), &it.signature)
    }

    pub(super) fn is_anchor(&self, tenant: &TenantId, it: &Anchor) -> bool {
        self.is_signed(&chain::signed(ANCHOR, tenant.as_str(), it.seq, &it.hash, it.at), &it.signature)
    }

    fn sign(&self, domain: &[u8], tenant: &TenantId, seq: i64, hash: &Hash, at: Timestamp) -> Vec<u8> {
        self.0.sign(&chain::signed(domain, tenant.as_str(), seq, hash, at)).as_ref().to_vec()
    }

    fn is_signed(&self, message: &Hash, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0.public_key()).verify(message, signature).is_ok()
    }
}

impl Checkpoint {
    pub(super) fn shown(&self) -> AuditCheckpoint {
        let (hash, signature) = (chain::hex(&self.hash), HEXLOWER.encode(&self.signature));
        AuditCheckpoint { seq: self.seq, hash, at: self.at, signature }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;

    #[test]
    fn what_one_key_signed_for_one_trail_is_nothing_for_another() {
        let seal = |seed| Seal::new(&Secret::new([seed; 32])).expect("a key");
        let (main, other): (TenantId, TenantId) = (TenantId::main(), "other".parse().expect("a name"));
        let made = seal(1).checkpoint(&main, 7, [5; 32], Timestamp::from_millis(9));

        assert!(seal(1).is_checkpoint(&main, &made));
        assert!(!seal(2).is_checkpoint(&main, &made) && !seal(1).is_checkpoint(&other, &made));
        for changed in [
            Checkpoint { seq: 8, ..made.clone() },
            Checkpoint { hash: [6; 32], ..made.clone() },
            Checkpoint { at: Timestamp::from_millis(10), ..made.clone() },
        ] {
            assert!(!seal(1).is_checkpoint(&main, &changed));
        }
        let Checkpoint { seq, hash, at, signature } = made;
        assert!(!seal(1).is_anchor(&main, &Anchor { seq, hash, at, signature }), "of another sort");
    }
}
