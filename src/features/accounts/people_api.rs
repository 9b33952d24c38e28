//! The endpoints with which people look each other up.
use poem::Request;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::api::AccountsApi;
use super::error::Error;
use super::model::{USERS_READ, User};
use super::people::{NAMES, People, Position};
use super::people_store;
use crate::http::openapi::Tag;
use crate::http::paging::{ListMeta, ListPlace, Listed, Paging};
use crate::http::query::must_be_among;
use crate::http::{Caller, Fault, Problem};

const LIST: &str = "/api/v1/users";
const SEARCH: &str = "/api/v1/users/search";
const PAGING: [&str; 4] = ["limit", "cursor", "page", "count"];

/// The endpoints with which people look each other up, with what they need.
#[derive(Clone, Debug)]
pub struct PeopleApi {
    pub accounts: AccountsApi,
}

/// A page of people.
#[derive(Debug, Object)]
#[oai(example)]
struct UserList {
    data: Vec<User>,
    meta: ListMeta,
}

impl Example for UserList {
    fn example() -> Self {
        Self { data: vec![User::example()], meta: ListMeta::example() }
    }
}

#[derive(ApiResponse)]
enum Users {
    /// A page of people.
    #[oai(status = 200)]
    Page(Json<UserList>, #[oai(header = "Link")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl PeopleApi {
    /// List accounts
    ///
    /// The oldest first, unless `sort` says otherwise.
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn list(
        &self,
        caller: Caller,
        /// Those that have this role.
        #[oai(name = "role")]
        _role: Query<Option<String>>,
        /// Those of this tier.
        #[oai(name = "tier")]
        _tier: Query<Option<String>>,
        /// `true` for those that are disabled, `false` for those that are not.
        #[oai(name = "disabled")]
        _disabled: Query<Option<String>>,
        /// `true` for those whose address was shown to be theirs, `false` for the others.
        #[oai(name = "verified")]
        _verified: Query<Option<String>>,
        /// Those made at this moment or later.
        #[oai(name = "createdFrom")]
        _created_from: Query<Option<String>>,
        /// Those made before this moment.
        #[oai(name = "createdTo")]
        _created_to: Query<Option<String>>,
        /// `with` or `only` those that were deleted. Absent: none of them.
        #[oai(name = "trashed")]
        _trashed: Query<Option<String>>,
        /// `createdAt`, `email`, `name` or `lastSignInAt`, with a `-` before it from the last to the first.
        #[oai(name = "sort")]
        _sort: Query<Option<String>>,
        /// Most accounts on a page: 1 to 500, or 30 if absent.
        #[oai(name = "limit")]
        _limit: Query<Option<String>>,
        /// `meta.nextCursor` of the page before.
        #[oai(name = "cursor")]
        _cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        #[oai(name = "page")]
        _page: Query<Option<String>>,
        /// `exact` to get `meta.total`.
        #[oai(name = "count")]
        _count: Query<Option<String>>,
        request: &Request,
    ) -> Result<Users, Problem> {
        caller.must(USERS_READ)?;

        must_be_among(request, &[NAMES.as_slice(), &PAGING].concat())?;
        self.page(&caller, LIST, request.uri().query().unwrap_or_default()).await
    }

    /// Search for accounts
    ///
    /// Those whose name and address have all the words, or words that begin so, whatever their case and their marks.
    #[oai(path = "/users/search", method = "get", operation_id = "search_users")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn search(
        &self,
        caller: Caller,
        /// Up to ten words, or their beginnings.
        #[oai(name = "q")]
        q: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "role")]
        _role: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "tier")]
        _tier: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "disabled")]
        _disabled: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "verified")]
        _verified: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "createdFrom")]
        _created_from: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "createdTo")]
        _created_to: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "trashed")]
        _trashed: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "sort")]
        _sort: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "limit")]
        _limit: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "cursor")]
        _cursor: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "page")]
        _page: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "count")]
        _count: Query<Option<String>>,
        request: &Request,
    ) -> Result<Users, Problem> {
        caller.must(USERS_READ)?;

        must_be_among(request, &[NAMES.as_slice(), &PAGING, &["q"]].concat())?;
        if q.0.is_none() {
            let detail = "must be given: words of a name or an address, or their beginnings";
            return Err(Problem::invalid(vec![Fault::new("?q", "required", detail)]));
        }
        self.page(&caller, SEARCH, request.uri().query().unwrap_or_default()).await
    }
}

impl PeopleApi {
    async fn page(&self, caller: &Caller, path: &str, query: &str) -> Result<Users, Problem> {
        let (mut asked, mut faults) = (Paging::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "limit" | "page" => faults.extend(asked.read(&name, &value).err()),
                "cursor" => asked.cursor = Some(value.into_owned()),
                "count" => asked.count = Some(value.into_owned()),
                _ => {}
            }
        }
        let people = People::read(query).unwrap_or_else(|wrong| {
            faults.extend(wrong);
            People::default()
        });
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        // Whose cursor it is. Not in which session, since people sign in again in the middle of a list.
        let scope = format!("users {} {} {people:?}", caller.tenant(), caller.name());
        let page = asked.check(&self.accounts.cursors, &scope)?;
        let after = page.after.as_deref().and_then(Position::read);
        let (skip, wanted, with_total, sought) = (page.skip, page.wanted(), page.with_total, people.clone());

        let found = self
            .accounts
            .db
            .read(caller.tenant(), move |tx| {
                let users = people_store::list(tx, &sought, after.as_ref(), skip, wanted)?;
                let total = if with_total { Some(people_store::count(tx, &sought)?) } else { None };
                Ok::<_, Error>((users, total))
            })
            .await?;

        let narrowing = narrowing(query);
        let place = ListPlace { path, query: &narrowing, scope: &scope };
        let Listed { data, meta, link } =
            page.listed(&place, &self.accounts.cursors, found, |it| people.position(it).text());
        Ok(Users::Page(Json(UserList { data, meta }), link))
    }
}

/// The parameters of a query that say which accounts, encoded.
fn narrowing(query: &str) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    let is_paging = |name: &str| PAGING.contains(&name);
    out.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !is_paging(name)));
    out.finish()
}
