//! What a collection does beside keeping records.
use poem_openapi::Object;
use poem_openapi::types::MaybeUndefined;

use crate::http::Fault;

/// Longest time that a bin keeps records: ten years.
const PURGE_AFTER_DAYS_MAX: u32 = 3_650;

/// What a collection does beside keeping records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
pub struct Options {
    /// Whether records that are deleted are kept in a bin, hidden, until they are restored or purged. They have
    /// `isDeleted` and `deletedAt`; what is unique stays taken.
    #[oai(default)]
    pub soft_delete: bool,
    /// Days after which a record in the bin is purged: 1 to 3,650. Absent: never.
    pub purge_after_days: Option<u32>,
    /// Whether the audit trail tells of each record that is made, changed or deleted, with what was changed. Each such
    /// write takes some more time and room.
    #[oai(default)]
    pub audit: bool,
    /// Whether clients that listen to live updates of the collection, or of one of its records, can see who else does, if
    /// they let the others see them.
    #[oai(default)]
    pub presence: bool,
}

/// The options that change. What is absent stays.
#[derive(Clone, Debug, Default, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptionsPatch {
    pub soft_delete: Option<bool>,
    pub purge_after_days: MaybeUndefined<u32>,
    pub audit: Option<bool>,
    pub presence: Option<bool>,
}

impl Options {
    /// What is wrong with them.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let fault = |code, detail: &str| vec![Fault::new("/options/purgeAfterDays", code, detail)];
        match self.purge_after_days {
            Some(_) if !self.soft_delete => fault("conflict", "is for a collection with `softDelete`"),
            Some(days) if !(1..=PURGE_AFTER_DAYS_MAX).contains(&days) => fault("range", "must be from 1 to 3,650"),
            _ => Vec::new(),
        }
    }
}

impl OptionsPatch {
    pub(super) fn apply(self, to: &mut Options) {
        to.soft_delete = self.soft_delete.unwrap_or(to.soft_delete);
        to.audit = self.audit.unwrap_or(to.audit);
        to.presence = self.presence.unwrap_or(to.presence);
        match self.purge_after_days {
            MaybeUndefined::Undefined if to.soft_delete => {}
            // Without a bin there is nothing to purge.
            MaybeUndefined::Undefined | MaybeUndefined::Null => to.purge_after_days = None,
            MaybeUndefined::Value(days) => to.purge_after_days = Some(days),
        }
    }
}
