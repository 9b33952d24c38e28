//! How many connections the system lets us have: each takes a file descriptor, and so does each open file.
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asks the system for as many descriptors as it gives. What shells and service managers set is meant for programs
/// that wait with `select`, which takes no more than 1,024.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some() && limit.current != limit.maximum {
        // Refused, it stays as it was, and so does what follows from it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// Most connections: half of the descriptors. The other half is for databases, files and clients that are
/// turned away, and for the operator, who must get in when nobody else does.
pub(super) fn connections_max() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |it| usize::try_from(it / 2).unwrap_or(usize::MAX))
}
