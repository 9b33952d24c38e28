//! What hashing a password costs here: as it is set, or as it was measured once on this machine.
//!
//! The time is spent at each sign-in, by the server once and by whoever has stolen the hashes for each guess. So it is made
//! as long as people do not mind, within a budget of memory that all threads share.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::config::AccountsConfig;

/// How long one hash is to take. A small machine then signs in ten people a second on each core.
const TARGET: Duration = Duration::from_millis(100);
/// Memory of one hash, the most that is tried first. The last is the least that OWASP recommends (with two passes).
const MEMORY_KIB: &[u32] = &[65_536, 47_104, 32_768, FLOOR.memory_kib];
/// Passes beyond which more memory would be the better use of time.
const ITERATIONS_MAX: u32 = 6;
/// The least, whatever was measured.
const FLOOR: Cost = Cost { memory_kib: 19_456, iterations: 2 };
/// Which part of the machine's memory all threads together may take.
const MEMORY_SHARE: u64 = 8;
/// How often it is measured: the quickest counts, since something only got in the way of the others.
const TRIES: u32 = 3;

/// What one hash of argon2id costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost {
    pub memory_kib: u32,
    pub iterations: u32,
}

/// What was measured, for all who hash. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured(Arc<AtomicU64>);

impl Measured {
    pub fn set(&self, cost: Cost) {
        self.0.store(u64::from(cost.memory_kib) << 32 | u64::from(cost.iterations), Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<Cost> {
        let packed = self.0.load(Ordering::Relaxed);
        let part = |it: u64| u32::try_from(it & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        (packed != 0).then(|| Cost { memory_kib: part(packed >> 32), iterations: part(packed) })
    }

    /// What a hash costs now: what is set, and where nothing is, what was measured.
    pub fn or_as_set(&self, config: &AccountsConfig) -> Cost {
        let measured = self.get().unwrap_or(FLOOR);
        let set = |it: u32, or: u32| if it == 0 { or } else { it };
        Cost {
            memory_kib: set(config.hash_memory_kib, measured.memory_kib),
            iterations: set(config.hash_iterations, measured.iterations),
        }
    }
}

/// Whether any of it is to be measured.
pub(super) fn is_automatic(config: &AccountsConfig) -> bool {
    config.hash_memory_kib == 0 || config.hash_iterations == 0
}

/// Finds out what one hash may cost on this machine, with so many threads. Takes about as long as one.
pub(super) fn measure(threads: usize) -> Result<Cost, Error> {
    let mut quickest = Duration::MAX;
    for _ in 0..TRIES {
        let begun = Instant::now();
        hash_once(FLOOR)?;
        quickest = quickest.min(begun.elapsed());
        // Where the least takes too long, it is that.
        if TARGET < quickest {
            break;
        }
    }
    Ok(choose(&affordable(memory_of_machine(), threads), quickest))
}

/// The memories that all threads may take at once, the largest first.
fn affordable(machine_bytes: u64, threads: usize) -> Vec<u32> {
    let budget_kib = machine_bytes / 1_024 / MEMORY_SHARE / threads.max(1) as u64;
    MEMORY_KIB.iter().copied().filter(|it| u64::from(*it) <= budget_kib || *it == FLOOR.memory_kib).collect()
}

/// The most memory whose two passes are within the time, and as many passes as fit into it, where the least takes `floor`.
fn choose(memories: &[u32], floor: Duration) -> Cost {
    let of_one_pass = |memory_kib: u32| floor * memory_kib / FLOOR.memory_kib / FLOOR.iterations;
    let fits = |it: &&u32| of_one_pass(**it) * FLOOR.iterations <= TARGET;
    let memory_kib = memories.iter().find(fits).copied().unwrap_or(FLOOR.memory_kib);
    let passes = TARGET.as_micros() / of_one_pass(memory_kib).as_micros().max(1);
    let iterations = u32::try_from(passes).unwrap_or(u32::MAX).clamp(FLOOR.iterations, ITERATIONS_MAX);
    Cost { memory_kib, iterations }
}

fn hash_once(cost: Cost) -> Result<(), Error> {
    let params = Params::new(cost.memory_kib, cost.iterations, 1, None).map_err(|cause| Error::Hash(cause.into()))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; 32];
    argon2.hash_password_into(b"a password", &[0; 16], &mut hash).map_err(|cause| Error::Hash(cause.into()))
}

/// The memory that this process may have: the machine's, or what its container is given. 0 if nobody says.
fn memory_of_machine() -> u64 {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let machine = read("/proc/meminfo").lines().find_map(|line| {
        let kib: u64 = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1_024)
    });
    // `max` where there is no limit.
    let container = read("/sys/fs/cgroup/memory.max").trim().parse().unwrap_or(u64::MAX);
    machine.unwrap_or(0).min(container)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// On a machine that takes so long for a MiB and a pass.
    fn chosen(micros_per_mib: u64, memories: &[u32]) -> Cost {
        choose(memories, Duration::from_micros(micros_per_mib * 19 * 2))
    }

    #[test]
    fn all_threads_together_take_an_eighth_of_the_memory_and_never_less_than_the_least() {
        assert_eq!(affordable(GIB, 2), [65_536, 47_104, 32_768, 19_456]);
        assert_eq!(affordable(GIB, 4), [32_768, 19_456]);
        assert_eq!(affordable(GIB / 2, 4), [19_456]);
        assert_eq!(affordable(0, 64), [19_456]);
    }

    #[test]
    fn a_fast_machine_takes_more_and_a_slow_one_the_least_that_is_safe() {
        let all = MEMORY_KIB;

        assert_eq!(chosen(600, all), Cost { memory_kib: 65_536, iterations: 2 });
        assert_eq!(chosen(1_000, all), Cost { memory_kib: 47_104, iterations: 2 });
        assert_eq!(chosen(600, &[19_456]), Cost { memory_kib: 19_456, iterations: 6 });
        assert_eq!(chosen(1_500, &[19_456]), Cost { memory_kib: 19_456, iterations: 3 });
        assert_eq!(chosen(50_000, all), FLOOR, "however long it takes");
    }

    #[test]
    fn what_is_set_counts_and_the_rest_is_as_it_was_measured() {
        let measured = Measured::default();
        let set = |memory, iterations| AccountsConfig {
            hash_memory_kib: memory,
            hash_iterations: iterations,
            ..AccountsConfig::default()
        };
        assert_eq!(measured.or_as_set(&set(0, 0)), FLOOR);
        measured.set(Cost { memory_kib: 47_104, iterations: 3 });

        assert_eq!(measured.or_as_set(&set(0, 0)), Cost { memory_kib: 47_104, iterations: 3 });
        assert_eq!(measured.or_as_set(&set(8_192, 0)), Cost { memory_kib: 8_192, iterations: 3 });
        assert_eq!(measured.or_as_set(&set(8_192, 1)), Cost { memory_kib: 8_192, iterations: 1 });
    }
}
