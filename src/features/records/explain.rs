//! Why someone may do something with records, or may not: asked of those who decide it.
use super::access::{Asker, Circumstances};
use super::api::RecordsApi;
use super::error::Error;
use super::list;
use super::projection::Projection;
use super::store::{self, ALIAS};
use crate::features::collections::Rule;
use crate::http::{Caller, ClientAddress, Problem};

/// What is to be done with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    List,
    View,
    Create,
    Update,
    Delete,
}

/// How it turned out.
#[derive(Debug)]
pub enum Outcome {
    /// Whatever the record is.
    Let,
    /// Rules do not count for this caller.
    LetPastRules,
    LetByRule,
    /// The rule lets admins only.
    AdminsOnly,
    RefusedByRule,
    /// It is for the record to say, and none was named.
    Depends,
    NoSuchRecord,
}

/// The rule that was asked, and how it turned out.
#[derive(Debug)]
pub struct Explained {
    pub rule: &'static str,
    /// As the collection has it; absent where it lets admins only.
    pub text: Option<String>,
    pub outcome: Outcome,
}

impl Deed {
    pub const ALL: [Self; 5] = [Self::List, Self::View, Self::Create, Self::Update, Self::Delete];

    /// The rule that decides about it.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::View => "view",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    const fn reads(self) -> bool {
        matches!(self, Self::List | Self::View)
    }

    const fn method(self) -> &'static str {
        match self {
            Self::List | Self::View => "GET",
            Self::Create => "POST",
            Self::Update => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl RecordsApi {
    /// Asks what would be asked if `caller` did this now. The refusal of a permission is the error.
    pub async fn explain(
        &self,
        caller: &Caller,
        collection: &str,
        deed: Deed,
        record: Option<String>,
    ) -> Result<Result<Explained, Problem>, Error> {
        let address = ClientAddress(None);
        let circumstances = Circumstances { now: self.clock.now(), method: deed.method(), address };
        let asker = match deed.reads() {
            true => Asker::to_read(caller, collection, circumstances),
            false => Asker::to_write(caller, collection, circumstances),
        };
        let asker = match asker {
            Ok(asker) => asker,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let known = self.catalogues.current(caller.tenant()).await?;
        let entry = known.find(collection).ok_or(Error::NotFound)?;
        let (rules, texts) = (&entry.rules, &entry.collection.rules);
        let (rule, text): (&Rule, _) = match deed {
            Deed::List => (&rules.list, &texts.list),
            Deed::View => (&rules.view, &texts.view),
            Deed::Create => (&rules.create, &texts.create),
            Deed::Update => (&rules.update, &texts.update),
            Deed::Delete => (&rules.delete, &texts.delete),
        };
        let told = |outcome| Explained { rule: deed.rule(), text: text.clone(), outcome };
        if asker.must_be_let(entry, rule, deed.rule()).is_err() {
            return Ok(Ok(told(Outcome::AdminsOnly)));
        }
        if asker.sight.rules_over(entry.name()) {
            return Ok(Ok(told(Outcome::LetPastRules)));
        }
        let judged = match deed {
            Deed::Update => asker.rule_about(entry, rule, &[]),
            _ => asker.rule(entry, rule, ALIAS),
        };
        let Some(judged) = judged else { return Ok(Ok(told(Outcome::Let))) };
        let Some(id) = record.filter(|_| deed != Deed::Create) else { return Ok(Ok(told(Outcome::Depends))) };
        let bare = Projection::default();
        let [any, let_in] = [None, Some(judged)].map(|rule| list::sought(&bare, entry, &id, rule));
        let (is_there, is_let) = self
            .db
            .read(caller.tenant(), move |tx| {
                let mut is_found = |it| Ok::<_, Error>(store::find(tx, it, &bare)?.is_some());
                Ok::<_, Error>((is_found(&any)?, is_found(&let_in)?))
            })
            .await?;
        Ok(Ok(told(match (is_there, is_let) {
            (false, _) => Outcome::NoSuchRecord,
            (true, true) => Outcome::LetByRule,
            (true, false) => Outcome::RefusedByRule,
        })))
    }
}
