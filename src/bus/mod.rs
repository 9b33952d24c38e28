//! "Something changed": said after a commit, heard by whoever waits for it, within this process.
//!
//! It says that there is news, not what it is: that is in the database. So many words in a row
//! are heard as one, and a word that is said while nobody listens costs next to nothing.
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::base::TenantId;

/// Carries the word. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Bus(Arc<RwLock<HashMap<TenantId, watch::Sender<()>>>>);

/// Hears of one tenant.
#[derive(Debug)]
pub struct Listener(watch::Receiver<()>);

impl Bus {
    /// Says that there is news of a tenant. Never waits for those who listen.
    pub fn tell(&self, tenant: &TenantId) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = known.get(tenant) {
            sender.send_replace(());
        }
    }

    /// Listens for news of a tenant from now on.
    pub fn listen(&self, tenant: &TenantId) -> Listener {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Listener(known.entry(tenant.clone()).or_insert_with(|| watch::Sender::new(())).subscribe())
    }
}

impl Listener {
    /// Waits for news that was not heard yet.
    pub async fn heard(&mut self) {
        if self.0.changed().await.is_err() {
            // The bus is gone, and with it whoever could say something.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn many_words_are_heard_as_one_by_each_and_none_is_lost() {
        let (bus, main) = (Bus::default(), TenantId::main());
        bus.tell(&main);
        let (mut first, mut second) = (bus.listen(&main), bus.listen(&main));
        assert_eq!(first.heard().now_or_never(), None, "what was said before is not heard");

        bus.tell(&main);
        bus.tell(&main);

        assert_eq!(first.heard().now_or_never(), Some(()));
        assert_eq!(first.heard().now_or_never(), None);
        assert_eq!(second.heard().now_or_never(), Some(()), "also by those who come to listen later");
        bus.tell(&"other".parse().expect("a name"));
        assert_eq!(first.heard().now_or_never(), None, "of another tenant");
    }
}
