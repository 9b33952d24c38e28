//! Whether those who listen, and the relays of others, still are who they were.
use std::collections::HashMap;
use std::sync::Arc;

use super::connection::End;
use super::hub::Desk;
use super::relays::Relay;
use crate::base::Timestamp;
use crate::base::text::chain;
use crate::db::{self, Tx};
use crate::features::api_keys;
use crate::http::{Caller, Permissions, Subject};

impl Desk {
    /// Ends the connections of those who are no longer signed in, or no longer who they were.
    pub(super) async fn check_callers(&mut self) {
        let all = self.hub.registry().all();
        let relays: Vec<Arc<Relay>> = self.hub.relays().all.values().cloned().collect();
        let mut callers: HashMap<Who, (Caller, bool)> = HashMap::new();
        for caller in all.iter().map(|it| it.caller()).chain(relays.iter().map(|it| it.caller.clone())) {
            if let Some(who) = who(&caller) {
                callers.insert(who, (caller, true));
            }
        }
        if callers.is_empty() {
            return;
        }
        let (now, log) = (self.hub.0.clock.now(), &self.hub.0.log);
        let look = move |tx: &mut Tx<'_>| {
            for (caller, stands) in callers.values_mut() {
                let is_over = caller.principal().until.is_some_and(|it| it <= now);
                *stands = !is_over && api_keys::still_stands(tx, caller, now)?;
            }
            Ok::<_, db::Error>(callers.clone())
        };
        match log.db.read(&log.tenant, look).await {
            Ok(callers) => {
                let is_over = |caller: &Caller| {
                    let found = who(caller).and_then(|it| callers.get(&it));
                    found.is_some_and(|(_, stands)| !stands) || !caller.is_believed()
                };
                for connection in all {
                    if is_over(&connection.caller()) {
                        connection.end(End::SignedOut);
                        self.leave(connection.id);
                    }
                }
                relays.iter().filter(|it| is_over(&it.caller)).for_each(|it| it.end(End::SignedOut));
            }
            Err(error) => {
                tracing::warn!(cause = %chain(&error), "cannot tell who is still signed in");
            }
        }
    }
}

/// What a connection was opened with: a session, say, the role and what that let its user try, and until when.
type Who = (Subject, String, Option<String>, Permissions, Option<Timestamp>);

/// Those who are one and the same are asked about once.
fn who(caller: &Caller) -> Option<Who> {
    let it = caller.principal();
    let is_asked = it.subject != Subject::Operator;
    is_asked.then(|| (it.subject.clone(), it.role.clone(), it.tier.clone(), it.permissions.clone(), it.until))
}
