//! The endpoint that explains.
use std::sync::{Arc, OnceLock};

use poem::http::Method;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::model::{AskedCaller, AskedRule, Decider, Explanation, Question, Verdict};
use crate::features::accounts::{Gate, RECORDS_ADMIN, RECORDS_READ, RECORDS_WRITE, USERS_READ};
use crate::features::api_keys::{KEYS_READ, KeyGate};
use crate::features::collections::COLLECTIONS_READ;
use crate::features::records::{Deed, Explained, Outcome, RecordsApi};
use crate::features::roles::{ROLES_READ, permissions_of_user};
use crate::http::openapi::{Operation, Tag, WeakDocuments, Who};
use crate::http::query::NoQuery;
use crate::http::{Caller, Fault, Input, Permission, Problem, Subject};

/// The endpoint that explains, with what it needs.
#[derive(Clone, Debug)]
pub struct ExplainApi {
    pub gate: Gate,
    pub keys: KeyGate,
    pub records: RecordsApi,
    /// Set once they are written, which is after there is an endpoint that asks for them.
    pub documents: Arc<OnceLock<WeakDocuments>>,
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl ExplainApi {
    /// Ask why someone may do something
    ///
    /// Says how it would turn out now, and what decides: the account or key itself, the scopes of the key, the role, or
    /// the rule of the collection. Nobody is told what they could not read anyway: it needs `users:read` too for an account,
    /// `keys:read` for a key, `collections:read` for a rule, and with `recordId`, which has the rule put to that record,
    /// `records:admin`.
    #[oai(path = "/admin/explain", method = "post", operation_id = "explain_access")]
    async fn explain(
        &self,
        caller: Caller,
        _query: NoQuery,
        body: Input<Question>,
    ) -> Result<Json<Explanation>, Problem> {
        caller.must(ROLES_READ)?;

        let question: Question = body.read()?;
        if question.record_id.is_some() {
            caller.must(RECORDS_ADMIN)?;
        }
        if question.caller.user_id.is_some() {
            caller.must(USERS_READ)?;
        }
        if question.caller.key_id.is_some() {
            caller.must(KEYS_READ)?;
        }
        let target = self.target(&question)?;
        if matches!(target, Target::Records { .. }) {
            caller.must(COLLECTIONS_READ)?;
        }
        let asked = match self.asked(&caller, question.caller).await? {
            Ok(asked) => asked,
            Err(refused) => return Ok(Json(refused)),
        };
        let explanation = match target {
            Target::Records { collection, deed, record } => {
                if record.is_some() {
                    caller.must(RECORDS_ADMIN)?;
                }
                self.of_records(&asked, &collection, deed, record).await?
            }
            Target::Operation(operation) => self.of_operation(&asked, &operation).await?,
        };

        Ok(Json(explanation))
    }
}

/// What would be done.
enum Target {
    Records { collection: String, deed: Deed, record: Option<String> },
    Operation(Operation),
}

fn invalid(pointer: &str, code: &'static str, detail: &str) -> Problem {
    Problem::invalid(vec![Fault::new(pointer, code, detail)])
}

impl ExplainApi {
    fn target(&self, question: &Question) -> Result<Target, Problem> {
        let record = question.record_id.clone();
        match (&question.method, &question.path, &question.collection, question.action) {
            (None, None, Some(collection), Some(action)) => {
                Ok(Target::Records { collection: collection.clone(), deed: action.into(), record })
            }
            (Some(method), Some(path), None, None) => {
                let method: Method =
                    method.to_uppercase().parse().map_err(|_| invalid("/method", "method", "is none"))?;
                let path = path.split('?').next().unwrap_or_default();
                let operation =
                    self.documents.get().and_then(WeakDocuments::upgrade).and_then(|it| it.operation_at(&method, path));
                let operation = operation.ok_or_else(|| invalid("/path", "unknown", "is no path with that method"))?;
                let Some(Who::Ruled(_, rule)) = operation.who else { return Ok(Target::Operation(operation)) };
                match (Deed::ALL.into_iter().find(|it| it.rule() == rule), operation.part("collection")) {
                    (Some(deed), Some(collection)) => {
                        let record = record.or_else(|| operation.part("id").map(ToOwned::to_owned));
                        Ok(Target::Records { collection: collection.to_owned(), deed, record })
                    }
                    _ => Ok(Target::Operation(operation)),
                }
            }
            _ => Err(invalid("", "required", "say `method` and `path`, or `collection` and `action`")),
        }
    }

    /// The caller that is asked about; why they are none, if so.
    async fn asked(&self, caller: &Caller, asked: AskedCaller) -> Result<Result<Caller, Explanation>, Problem> {
        let tenant = caller.tenant();
        let nobody = |decided_by, detail: String| Explanation {
            verdict: Verdict::Refused,
            decided_by,
            permission: None,
            rule: None,
            detail,
            role: None,
            permissions: Vec::new(),
        };
        match asked {
            AskedCaller { user_id: None, key_id: None, stranger: Some(true) } => {
                Ok(Ok(self.gate.stranger(tenant).await?))
            }
            AskedCaller { user_id: Some(id), key_id: None, stranger: None } => {
                let found = self.gate.stand_in(tenant, id).await?;
                let found = found.ok_or_else(|| invalid("/caller/userId", "unknown", "is no account"))?;
                Ok(found.ok_or_else(|| nobody(Decider::Account, "the account is disabled".to_owned())))
            }
            AskedCaller { user_id: None, key_id: Some(id), stranger: None } => {
                let found = self.keys.stand_in(tenant, id).await?;
                let found = found.ok_or_else(|| invalid("/caller/keyId", "unknown", "is no key"))?;
                Ok(found.map_err(|why| nobody(Decider::Key, why.to_string())))
            }
            _ => Err(invalid("/caller", "required", "is one of `userId`, `keyId` and `stranger`")),
        }
    }

    async fn of_operation(&self, asked: &Caller, operation: &Operation) -> Result<Explanation, Problem> {
        let (permission, collection) = match operation.who {
            Some(Who::Anyone | Who::Each) | None => {
                let detail = "anyone may; what is in the request is asked about for itself";
                return Ok(told(asked, Verdict::Allowed, Decider::Nobody, None, detail.to_owned()));
            }
            Some(Who::SignedIn) => {
                return Ok(match asked.user() {
                    Ok(_) => told(asked, Verdict::Allowed, Decider::SignIn, None, "anyone signed in may".to_owned()),
                    Err(refusal) => told(asked, Verdict::Refused, Decider::SignIn, None, refusal.detail().to_owned()),
                });
            }
            Some(Who::Owner(_))
                if operation.part("id").and_then(|it| it.parse().ok()).is_some_and(|it| asked.is(it)) =>
            {
                let detail = "it is their own account".to_owned();
                return Ok(told(asked, Verdict::Allowed, Decider::SignIn, None, detail));
            }
            Some(
                Who::Holders(permission)
                | Who::Owner(permission)
                | Who::Visitors(permission)
                | Who::Ruled(permission, _),
            ) => (permission, operation.part("collection")),
        };
        let judged = match collection {
            Some(collection) => asked.must_in(permission, collection),
            None => asked.must(permission),
        };
        match judged {
            Ok(()) if matches!(operation.who, Some(Who::Ruled(..))) => {
                let detail = "the permission is there; rules of the collection decide then".to_owned();
                Ok(told(asked, Verdict::Depends, Decider::Rule, Some(permission), detail))
            }
            Ok(()) => {
                let detail = format!("the permission `{}` is there", permission.0);
                Ok(told(asked, Verdict::Allowed, granter(asked), Some(permission), detail))
            }
            Err(refusal) => self.refused(asked, permission, collection, &refusal).await,
        }
    }

    async fn of_records(
        &self,
        asked: &Caller,
        collection: &str,
        deed: Deed,
        record: Option<String>,
    ) -> Result<Explanation, Problem> {
        let permission = if matches!(deed, Deed::List | Deed::View) { RECORDS_READ } else { RECORDS_WRITE };
        let explained = match self.records.explain(asked, collection, deed, record).await? {
            Err(refusal) => return self.refused(asked, permission, Some(collection), &refusal).await,
            Ok(explained) => explained,
        };
        let Explained { rule, text, outcome } = explained;
        let (verdict, decided_by, detail) = match outcome {
            Outcome::Let => (Verdict::Allowed, Decider::Rule, "the rule lets anyone"),
            Outcome::LetPastRules => (Verdict::Allowed, granter(asked), "rules do not count with `records:admin`"),
            Outcome::LetByRule => (Verdict::Allowed, Decider::Rule, "the rule is true for this record"),
            Outcome::AdminsOnly => (Verdict::Refused, Decider::Rule, "the rule lets admins only"),
            Outcome::RefusedByRule => (Verdict::Refused, Decider::Rule, "the rule is not true for this record"),
            Outcome::Depends => (Verdict::Depends, Decider::Rule, "it is for the record to say"),
            Outcome::NoSuchRecord => (Verdict::Refused, Decider::Rule, "there is no such record"),
        };
        let rule = Some(AskedRule { name: rule.to_owned(), text });
        Ok(Explanation { rule, ..told(asked, verdict, decided_by, Some(permission), detail.to_owned()) })
    }

    /// What a permission was missing in: the scopes of a key, or the role of whoever is behind it.
    async fn refused(
        &self,
        asked: &Caller,
        permission: Permission,
        collection: Option<&str>,
        refusal: &Problem,
    ) -> Result<Explanation, Problem> {
        let decided_by = match asked.subject() {
            Subject::Stranger => Decider::SignIn,
            Subject::Key { owner: Some(owner), .. } => {
                let owner = *owner;
                let theirs = self.keys.db.get(asked.tenant(), move |tx| permissions_of_user(tx, owner)).await?;
                let may = theirs.is_some_and(|it| it.allow_in(permission, collection));
                if may { Decider::Scope } else { Decider::Role }
            }
            Subject::Key { .. } => Decider::Scope,
            Subject::User { .. } | Subject::Operator => Decider::Role,
        };
        Ok(told(asked, Verdict::Refused, decided_by, Some(permission), refusal.detail().to_owned()))
    }
}

/// What gives a caller what they may.
fn granter(asked: &Caller) -> Decider {
    if matches!(asked.subject(), Subject::Key { .. }) { Decider::Scope } else { Decider::Role }
}

fn told(
    asked: &Caller,
    verdict: Verdict,
    decided_by: Decider,
    permission: Option<Permission>,
    detail: String,
) -> Explanation {
    let principal = asked.principal();
    Explanation {
        verdict,
        decided_by,
        permission: permission.map(|it| it.0.to_owned()),
        rule: None,
        detail,
        role: asked.user_id().map(|_| principal.role.clone()),
        permissions: principal.permissions.names(),
    }
}
