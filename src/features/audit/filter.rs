//! Which entries are asked for: typed parameters, each of which narrows the list.
use std::net::IpAddr;

use super::action::Action;
use super::model::{ActorKind, Outcome};
use crate::base::Timestamp;
use crate::base::text::nearest;
use crate::db::Value;
use crate::http::Fault;

/// The parameters of a filter, by their names.
pub(super) const NAMES: [&str; 8] = ["actor", "action", "resource", "outcome", "address", "requestId", "from", "to"];

/// Which entries are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// Columns and what they hold.
    equal: Vec<(&'static str, String)>,
    /// The beginning of the action's name.
    area: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Filter {
    /// Reads the parameters of a query that are a filter's; or says everything that is wrong with them.
    pub fn read(query: &str) -> Result<Self, Vec<Fault>> {
        let (mut filter, mut faults) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if let Err((code, detail)) = filter.add(&name, &value) {
                faults.push(Fault::new(format!("?{name}"), code, detail));
            }
        }
        if faults.is_empty() { Ok(filter) } else { Err(faults) }
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), (&'static str, String)> {
        let moment = || value.parse::<Timestamp>().map_err(|why| ("format", why.to_owned()));
        match name {
            "actor" => {
                let is_kind = ActorKind::ALL.iter().any(|it| it.name() == value);
                let column = match value.contains('@') {
                    _ if is_kind => "actor_kind",
                    true => "actor_email",
                    false => "actor_id",
                };
                let value = if column == "actor_email" { value.to_lowercase() } else { value.to_owned() };
                self.equal.push((column, value));
            }
            "action" => match value.strip_suffix(".*") {
                Some(area) if Action::ALL.iter().any(|it| it.name().split_once('.').is_some_and(|it| it.0 == area)) => {
                    self.area = Some(format!("{area}."));
                }
                None if Action::named(value).is_some() => self.equal.push(("action", value.to_owned())),
                _ => return Err(("not-one-of", unknown_action(value))),
            },
            "resource" => match value.split_once('/') {
                Some((kind, id)) => self.equal.extend([("resource_kind", kind.into()), ("resource_id", id.into())]),
                None => self.equal.push(("resource_kind", value.to_owned())),
            },
            "outcome" if Outcome::ALL.iter().any(|it| it.name() == value) => {
                self.equal.push(("outcome", value.to_owned()));
            }
            "outcome" => return Err(("not-one-of", "must be `done` or `refused`".to_owned())),
            "address" => {
                let address: IpAddr = value.parse().map_err(|_| ("format", "must be an IP address".to_owned()))?;
                self.equal.push(("address", address.to_canonical().to_string()));
            }
            "requestId" => self.equal.push(("request_id", value.to_owned())),
            "from" => self.from = Some(moment()?),
            "to" => self.to = Some(moment()?),
            _ => {}
        }
        Ok(())
    }

    /// The filter as SQL, whose parameters are numbered from `first`.
    pub fn condition(&self, first: usize) -> (String, Vec<Value<'static>>) {
        let (mut sql, mut values) = ("1 = 1".to_owned(), Vec::<Value<'static>>::new());
        let mut add = |before: &str, value: Value<'static>| {
            sql.push_str(&format!(" AND {before} ${}", first + values.len()));
            values.push(value);
        };
        for (column, value) in &self.equal {
            add(&format!("{column} ="), value.clone().into());
        }
        if let Some(area) = &self.area {
            // Names of actions have none of the signs that LIKE knows.
            add("action LIKE", format!("{area}%").into());
        }
        if let Some(from) = self.from {
            add("created_at >=", from.into());
        }
        if let Some(to) = self.to {
            add("created_at <", to.into());
        }
        (sql, values)
    }
}

fn unknown_action(typed: &str) -> String {
    match nearest(typed, Action::ALL.iter().map(|it| it.name())) {
        Some(meant) => format!("is no action; did you mean `{meant}`?"),
        None => "must be an action, such as `auth.sign-in`, or all of an area, such as `auth.*`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(query: &str) -> Vec<String> {
        Filter::read(query)
            .expect_err("refused")
            .into_iter()
            .map(|it| format!("{} {}", it.pointer, it.detail))
            .collect()
    }

    #[test]
    fn each_parameter_narrows_the_list() {
        let filter = Filter::read(
            "actor=Ada%40example.com&action=auth.*&resource=record/posts/1&outcome=refused&address=::ffff:192.0.2.7\
             &requestId=r&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&limit=3",
        );

        let (sql, values) = filter.expect("a filter").condition(5);

        assert_eq!(
            sql,
            "1 = 1 AND actor_email = $5 AND resource_kind = $6 AND resource_id = $7 AND outcome = $8 AND address = $9 \
             AND request_id = $10 AND action LIKE $11 AND created_at >= $12 AND created_at < $13"
        );
        assert_eq!(values.len(), 9);
        assert_eq!((&values[0], &values[2]), (&"ada@example.com".into(), &"posts/1".into()));
        assert_eq!((&values[4], &values[6]), (&"192.0.2.7".into(), &"auth.%".into()));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        assert_eq!(
            told("action=auth.sign-on&outcome=maybe&address=here&from=yesterday").len(),
            4,
            "{:?}",
            told("action=auth.sign-on&outcome=maybe&address=here&from=yesterday")
        );
        assert_eq!(told("action=auth.sign-on"), ["?action is no action; did you mean `auth.sign-in`?"]);
        assert_eq!(told("action=%25.*").len(), 1);
    }
}
