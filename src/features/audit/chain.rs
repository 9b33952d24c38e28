//! The chain: what the hash of an entry is made of, and what is found by following it.
use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

use super::model::{Flaw, FlawKind, Kept};
use crate::base::Timestamp;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// What stands for the entry before the first one.
pub(super) const NOTHING_BEFORE: Hash = [0; 32];
/// What everything begins with that is hashed: nothing else of ours is hashed to the same.
const DOMAIN: &[u8] = b"steading-audit-1\n";

/// Flaws that are told in one go. Where there are more, the trail was not tampered with but replaced.
pub(super) const FLAWS_MAX: usize = 50;

/// Hashes texts so that none can pass for another: each with its length before it, or for one that there is not.
pub(super) struct Encoder(Context);

impl Encoder {
    pub fn new(domain: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(domain);
        Self(context)
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.0.update(&[1]);
        self.0.update(&(text.len() as u64).to_be_bytes());
        self.0.update(text.as_bytes());
        self
    }

    pub fn optional(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => {
                self.0.update(&[0]);
                self
            }
        }
    }

    pub fn finish(self) -> Hash {
        let mut hash = NOTHING_BEFORE;
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

pub(super) fn hex(hash: &Hash) -> String {
    HEXLOWER.encode(hash)
}

/// The hash of an entry, as the module's own words say.
pub(super) fn hash(kept: &Kept) -> Hash {
    let mut encoder = Encoder::new(DOMAIN);
    encoder
        .text(&kept.seq.to_string())
        .text(&kept.at.to_string())
        .text(&kept.actor_kind)
        .optional(kept.actor_id.as_deref())
        .optional(kept.actor_email.as_deref())
        .text(&kept.action)
        .optional(kept.resource_kind.as_deref())
        .optional(kept.resource_id.as_deref())
        .optional(kept.before.as_deref())
        .optional(kept.after.as_deref())
        .optional(kept.address.as_deref())
        .optional(kept.user_agent.as_deref())
        .optional(kept.request_id.as_deref())
        .text(&kept.outcome)
        .optional(kept.reason.as_deref())
        .text(&kept.total_bytes.to_string())
        .text(&hex(&kept.previous_hash));
    encoder.finish()
}

/// An entry that is known from elsewhere: what a checkpoint noted, or what an operator wrote down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub seq: i64,
    pub hash: Hash,
    /// Who saw it, and when, for people.
    pub who: String,
}

/// Where someone is who follows the chain.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// The number that the next entry must have.
    next: i64,
    /// What it must name as the hash before it. Two where the one before was changed: which of its hashes the chain goes
    /// on from is not known.
    previous: [Hash; 2],
    pub entries: u64,
    pub flaws: Vec<Flaw>,
    /// What must be met, in the order of the numbers, the first one last.
    witnesses: Vec<Witness>,
}

impl Walk {
    /// After the entry `seq`, whose hash was `hash`.
    pub fn after(seq: i64, hash: Hash, mut witnesses: Vec<Witness>) -> Self {
        witnesses.retain(|it| seq < it.seq);
        witnesses.sort_by_key(|it| std::cmp::Reverse(it.seq));
        Self { next: seq + 1, previous: [hash; 2], entries: 0, flaws: Vec::new(), witnesses }
    }

    /// Goes on after the entry `seq`, whose hash was `hash`: those before were removed by retention.
    pub fn skip_to(&mut self, seq: i64, hash: Hash) {
        (self.next, self.previous) = (seq + 1, [hash; 2]);
        while self.witnesses.pop_if(|it| it.seq <= seq).is_some() {}
    }

    /// The number that the next entry must have.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Goes on after the newest entry that there was: those until then are gone since.
    pub fn nothing_until(&mut self, newest: i64) {
        if self.next <= newest {
            self.arrive(newest + 1);
            (self.next, self.previous) = (newest + 1, [NOTHING_BEFORE; 2]);
        }
    }

    pub fn note(&mut self, seq: i64, kind: FlawKind, detail: String) {
        if self.flaws.len() < FLAWS_MAX {
            self.flaws.push(Flaw { seq, kind, detail });
        }
    }

    /// Looks at the next entry that there is.
    pub fn step(&mut self, kept: &Kept) {
        let seq = kept.seq;
        let follows = self.arrive(seq);
        let real = hash(kept);
        if real != kept.hash {
            self.note(seq, FlawKind::Changed, format!("entry {seq} is not what it was when it was written"));
        } else if follows && !self.previous.contains(&kept.previous_hash) {
            let detail = format!("entry {seq} was written after another entry {} than the one before it", seq - 1);
            self.note(seq, FlawKind::Rewritten, detail);
        }
        self.leave(seq, [kept.hash, real]);
    }

    /// Looks at the next entry, of which some column holds what was never written.
    pub fn step_unreadable(&mut self, seq: i64, hash: Hash) {
        self.arrive(seq);
        self.note(seq, FlawKind::Changed, format!("entry {seq} cannot be read: it holds what was never written"));
        self.leave(seq, [hash; 2]);
    }

    /// Whether the entry is the one that must come.
    fn arrive(&mut self, seq: i64) -> bool {
        let next = self.next;
        if next < seq {
            let detail = match seq - 1 {
                last if last == next => format!("entry {next} is missing"),
                last => format!("entries {next} to {last} are missing"),
            };
            self.note(next, FlawKind::Missing, detail);
            while self.witnesses.pop_if(|it| it.seq < seq).is_some() {}
        } else if seq < next {
            self.note(seq, FlawKind::Added, format!("entry {seq} stands where no entry was"));
        }
        seq == next
    }

    fn leave(&mut self, seq: i64, hashes: [Hash; 2]) {
        self.entries += 1;
        while let Some(witness) = self.witnesses.pop_if(|it| it.seq <= seq) {
            if witness.seq == seq && witness.hash != hashes[0] {
                let detail = format!("entry {seq} is another one than {}", witness.who);
                self.note(seq, FlawKind::Rewritten, detail);
            }
        }
        (self.next, self.previous) = (self.next.max(seq + 1), hashes);
    }

    /// Looks what should have come, at the end of the trail.
    pub fn end(&mut self) {
        if let Some(last) = self.witnesses.first().cloned() {
            let detail = match (self.next, last.seq) {
                (next, seq) if next == seq => format!("entry {next} is missing, which was {}", last.who),
                (next, seq) => format!("entries {next} to {seq} are missing, the last of which was {}", last.who),
            };
            self.note(self.next, FlawKind::Missing, detail);
        }
        self.witnesses.clear();
    }
}

/// The text that a signature is made over: what sort of thing it is, the tenant, an entry and a moment.
pub(super) fn signed(domain: &[u8], tenant: &str, seq: i64, hash: &Hash, at: Timestamp) -> Hash {
    let mut encoder = Encoder::new(domain);
    encoder.text(tenant).text(&seq.to_string()).text(&hex(hash)).text(&at.to_string());
    encoder.finish()
}
