//! Requests that came to somebody else's door, are handed on, and go through the same shell as all others.
use std::sync::Arc;

use poem::{Request, Response};

use super::Shell;
use super::address::Origin;

/// The way in for requests that are handed on, in the extensions of each request that asks for a WebSocket. Cheap to
/// clone.
#[derive(Clone)]
pub struct Entrance(Arc<Shell>);

impl Entrance {
    pub(super) fn new(shell: Arc<Shell>) -> Self {
        Self(shell)
    }

    /// Answers a request that came from elsewhere, as whoever hands it on says, whatever its headers say of that.
    pub async fn answer(&self, mut request: Request, from: Origin) -> Response {
        request.extensions_mut().insert(from);
        self.0.answer(request).await
    }
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Entrance").finish_non_exhaustive()
    }
}
