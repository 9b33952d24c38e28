//! What a caller may try: permissions as they are asked for, and as they were given.
//!
//! A permission is `<resource>:<read|write|admin>`; for the records of one collection it is
//! `records/<collection>:<read|write|admin>`. `admin` holds `write`, and `write` holds `read`. `*` holds everything.
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Something an endpoint asks for: `<resource>:<read|write|admin>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission(pub &'static str);

/// How much of a resource: each holds those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Read,
    Write,
    Admin,
}

/// Between a resource and one thing of it.
const OF: char = '/';

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|it| it.name() == name)
    }
}

impl Permission {
    fn parts(self) -> (&'static str, Option<Level>) {
        let (resource, level) = self.0.split_once(':').unwrap_or((self.0, ""));
        (resource, Level::of(level))
    }

    pub fn resource(self) -> &'static str {
        self.parts().0
    }
}

/// One permission as it was given: of a resource, or of one collection of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    resource: Box<str>,
    collection: Option<Box<str>>,
    level: Level,
}

impl Grant {
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The one collection that it is about.
    pub fn collection(&self) -> Option<&str> {
        self.collection.as_deref()
    }

    /// The same for another collection.
    pub fn moved_to(&self, collection: &str) -> Self {
        Self { collection: Some(collection.into()), ..self.clone() }
    }

    /// The same without its collection: what the vocabulary lists.
    pub fn whole(&self) -> String {
        format!("{}:{}", self.resource, self.level.name())
    }

    fn is_about(&self, resource: &str, level: Level) -> bool {
        level <= self.level && *self.resource == *resource
    }

    /// Whether who has this one has `other` too.
    fn holds(&self, other: &Self) -> bool {
        self.is_about(&other.resource, other.level)
            && (self.collection.is_none() || is_same(self.collection.as_deref(), other.collection.as_deref()))
    }

    /// What two have in common.
    fn shared(&self, other: &Self) -> Option<Self> {
        let collection = match (&self.collection, &other.collection) {
            (one, None) | (None, one) => one.clone(),
            (one, other) if is_same(one.as_deref(), other.as_deref()) => one.clone(),
            _ => return None,
        };
        (self.resource == other.resource).then(|| Self {
            resource: self.resource.clone(),
            collection,
            level: self.level.min(other.level),
        })
    }
}

/// Whether two collections are one: `Posts` and `posts` are.
fn is_same(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (one, other) => one == other,
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.resource)?;
        if let Some(collection) = &self.collection {
            write!(out, "{OF}{collection}")?;
        }
        write!(out, ":{}", self.level.name())
    }
}

impl FromStr for Grant {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "is `<resource>:<read|write|admin>`, or `records/<collection>:<read|write|admin>`";
        let (of, level) = text.split_once(':').ok_or(form)?;
        let level = Level::of(level).ok_or(form)?;
        let (resource, collection) = of.split_once(OF).map_or((of, None), |(it, of)| (it, Some(of)));
        let is_name = |it: &str| it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_') && !it.is_empty();
        if !is_name(resource) || !collection.is_none_or(is_name) {
            return Err(form);
        }
        Ok(Self { resource: resource.into(), collection: collection.map(Into::into), level })
    }
}

/// What a caller may try. Rules on data come on top of it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Permissions {
    All,
    /// In an order, none of them twice.
    Only(Arc<[Grant]>),
}

/// How everything is written.
pub const ALL: &str = "*";

impl Permissions {
    pub fn none() -> Self {
        Self::Only(Arc::default())
    }

    /// Reads them as they are written; what is no permission is the error, with its place.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, (usize, &'static str)> {
        let mut grants = Vec::new();
        let mut is_all = false;
        for (index, text) in texts.into_iter().enumerate() {
            if text == ALL {
                is_all = true;
            } else {
                grants.push(text.parse().map_err(|why| (index, why))?);
            }
        }
        Ok(if is_all { Self::All } else { Self::of(grants) })
    }

    pub fn of(mut grants: Vec<Grant>) -> Self {
        grants.sort_unstable();
        grants.dedup();
        Self::Only(grants.into())
    }

    /// As they are written.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::All => vec![ALL.to_owned()],
            Self::Only(grants) => grants.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether they hold a permission, for all of its resource.
    pub fn allow(&self, wanted: Permission) -> bool {
        self.allow_in(wanted, None)
    }

    /// Whether they hold a permission for one collection, if not for all of them.
    pub fn allow_in(&self, wanted: Permission, collection: Option<&str>) -> bool {
        let Self::Only(grants) = self else { return true };
        let (resource, Some(level)) = wanted.parts() else { return false };
        let is_there = |it: &Grant| it.collection.is_none() || is_same(it.collection.as_deref(), collection);
        grants.iter().any(|it| it.is_about(resource, level) && is_there(it))
    }

    /// Whether they hold a permission for some of its resource at least.
    pub fn allow_somewhere(&self, wanted: Permission) -> bool {
        let Self::Only(grants) = self else { return true };
        let (resource, Some(level)) = wanted.parts() else { return false };
        grants.iter().any(|it| it.is_about(resource, level))
    }

    /// The collections that they hold a permission for one by one.
    pub fn collections(&self, wanted: Permission) -> Vec<&str> {
        let (Self::Only(grants), (resource, Some(level))) = (self, wanted.parts()) else { return Vec::new() };
        grants.iter().filter(|it| it.is_about(resource, level)).filter_map(|it| it.collection.as_deref()).collect()
    }

    /// Whether who has these has all of `others`.
    pub fn hold(&self, others: &Self) -> bool {
        match (self, others) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(own), Self::Only(others)) => others.iter().all(|it| own.iter().any(|own| own.holds(it))),
        }
    }

    /// What both have.
    pub fn shared(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, some) | (some, Self::All) => some.clone(),
            (Self::Only(one), Self::Only(other)) => {
                let pairs = one.iter().flat_map(|one| other.iter().filter_map(|other| one.shared(other)));
                Self::of(pairs.collect())
            }
        }
    }

    /// What these let do with `resource`, but for `admin`: what may be given to whom nobody knows.
    pub fn for_anyone(&self, resource: &str) -> Self {
        let bounded = |level: Level| Grant { resource: resource.into(), collection: None, level };
        match self {
            Self::All => Self::of(vec![bounded(Level::Read), bounded(Level::Write)]),
            Self::Only(grants) => {
                let theirs = grants.iter().filter(|it| *it.resource == *resource);
                Self::of(theirs.map(|it| Grant { level: it.level.min(Level::Write), ..it.clone() }).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(texts: &[&str]) -> Permissions {
        Permissions::read(texts.iter().copied()).expect("permissions")
    }

    const READ: Permission = Permission("records:read");
    const WRITE: Permission = Permission("records:write");
    const ADMIN: Permission = Permission("records:admin");

    #[test]
    fn each_level_holds_those_below_it_and_of_its_resource_alone() {
        let writer = permissions(&["records:write"]);

        assert_eq!([READ, WRITE, ADMIN].map(|it| writer.allow(it)), [true, true, false]);
        assert!(!writer.allow(Permission("users:read")) && !writer.allow(Permission("record:read")));
        assert!(permissions(&["*"]).allow(Permission("users:admin")));
        assert!(!Permissions::none().allow(READ));
    }

    #[test]
    fn one_collection_is_not_all_of_them_and_all_of_them_are_each() {
        let (of_posts, of_all) = (permissions(&["records/posts:write"]), permissions(&["records:write"]));
        let of_capitals = permissions(&["records/Posts:write"]);
        assert!(of_capitals.hold(&of_posts) && of_capitals.allow_in(Permission("records:write"), Some("posts")));

        assert!(of_posts.allow_in(READ, Some("posts")) && of_all.allow_in(READ, Some("posts")));
        assert!(
            !of_posts.allow_in(READ, Some("post")) && !of_posts.allow(READ) && !of_posts.allow_in(ADMIN, Some("posts"))
        );
        assert!(of_all.hold(&of_posts) && !of_posts.hold(&of_all));
    }

    #[test]
    fn what_two_share_is_never_more_than_either() {
        let sets = [
            &["*"][..],
            &["records:admin"],
            &["records:read", "users:write"],
            &["records/posts:write", "records:read"],
            &["records/posts:admin", "records/comments:read"],
            &["keys:write"],
            &[],
        ]
        .map(permissions);
        for one in &sets {
            for other in &sets {
                let shared = one.shared(other);

                assert_eq!(shared, other.shared(one));
                assert!(one.hold(&shared) && other.hold(&shared), "{one:?} {other:?}");
                for wanted in [READ, WRITE, ADMIN, Permission("users:read"), Permission("keys:write")] {
                    for collection in [None, Some("posts"), Some("comments"), Some("others")] {
                        let both = one.allow_in(wanted, collection) && other.allow_in(wanted, collection);
                        assert_eq!(shared.allow_in(wanted, collection), both, "{one:?} {other:?} {wanted:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn strangers_get_nothing_but_records_and_never_past_the_rules() {
        let given = permissions(&["records:admin", "users:read", "records/posts:read"]);

        assert_eq!(given.for_anyone("records").names(), ["records:write", "records/posts:read"]);
        assert_eq!(permissions(&["*"]).for_anyone("records").names(), ["records:read", "records:write"]);
    }

    #[test]
    fn what_is_no_permission_is_told_with_its_place() {
        for text in
            ["", ":", "records", "records:", "records:all", "records/:read", "records/a b:read", "a/b/c:read", "**"]
        {
            let read = Permissions::read(["records:read", text]);
            assert_eq!(read.err().map(|(index, _)| index), Some(1), "{text:?}");
        }
        assert_eq!(
            permissions(&["records:write", "records:read", "records:read"]).names(),
            ["records:read", "records:write"]
        );
    }
}
