//! What is asked of an aggregate: groups, metrics, their order.
use super::super::query::Asked;
use crate::base::text::nearest;
use crate::db::dialect::{self, TimeUnit};
use crate::db::record_tables::quoted;
use crate::features::collections::{Entry, FieldType, Shape, Sight};
use crate::http::paging::{LIMIT_MAX, OF_LIMIT};
use crate::http::{Fault, Problem};

/// Groups in groups: more are no table that anyone can read.
const GROUPS_MAX: usize = 3;
const METRICS_MAX: usize = 16;
/// Groups of an answer whose number nobody named.
const LIMIT: u64 = 100;
/// Faults of one parameter that are told.
const FAULTS_MAX: usize = 10;

/// A question, checked against the fields that the caller sees.
#[derive(Debug)]
pub(super) struct Question {
    pub groups: Vec<Group>,
    pub metrics: Vec<Metric>,
    pub order: Vec<(Sorted, bool)>,
    pub limit: u64,
}

/// What records are put together by.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// As it was asked for.
    pub name: String,
    pub sql: String,
    pub shape: Shape,
}

/// A number about a group.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Count(String),
    /// Of whole numbers, exact.
    WholeSum(String),
    Sum(String),
    Mean(String),
    /// The least or the most.
    Extreme(String, Shape),
}

/// What groups are sorted by: the position of a group or of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sorted {
    Group(usize),
    Metric(usize),
}

/// A column that the caller sees.
struct Column {
    sql: String,
    shape: Shape,
    field_type: Option<FieldType>,
}

impl Question {
    /// Reads a query. What selects the records is left in the [`Asked`].
    pub fn read(query: &str, entry: &Entry, sight: &Sight) -> Result<(Self, Asked), Problem> {
        let (mut group_by, mut metrics, mut twice) = (None, None, Vec::new());
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let own = match &*name {
                "groupBy" => &mut group_by,
                "metrics" => &mut metrics,
                _ => {
                    rest.append_pair(&name, &value);
                    continue;
                }
            };
            if own.replace(value.into_owned()).is_some() {
                twice.push(Fault::new(format!("?{name}"), "duplicate", "is given more than once"));
            }
        }
        let asked = Asked::read_of_groups(&rest.finish())?;
        let mut reader = Reader { entry, sight, faults: twice };
        let groups = reader.groups(group_by.as_deref());
        let metrics = reader.metrics(metrics.as_deref());
        let order = reader.order(asked.sort.as_deref(), &groups, &metrics);
        let limit = asked.paging.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            reader.faults.push(Fault::new("?limit", "out-of-range", OF_LIMIT));
        }
        if !reader.faults.is_empty() {
            return Err(Problem::invalid(reader.faults));
        }
        Ok((Self { groups, metrics, order, limit }, asked))
    }
}

struct Reader<'a> {
    entry: &'a Entry,
    sight: &'a Sight,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, parameter: &str, code: &'static str, detail: impl Into<String>) {
        let told = self.faults.iter().filter(|it| it.pointer == parameter).count();
        if told < FAULTS_MAX {
            self.faults.push(Fault::new(parameter, code, detail.into()));
        }
    }

    fn groups(&mut self, asked: Option<&str>) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let Some(asked) = asked else { return groups };
        let names: Vec<_> = asked.split(',').map(str::trim).collect();
        if GROUPS_MAX < names.len() {
            self.fault("?groupBy", "too-many", format!("at most {GROUPS_MAX}"));
            return groups;
        }
        for name in names {
            if groups.iter().any(|it| it.name == name) {
                self.fault("?groupBy", "duplicate", format!("`{name}` is given more than once"));
                continue;
            }
            let (field, unit) = name.split_once(':').map_or((name, None), |(field, unit)| (field, Some(unit)));
            let Some(Column { sql, shape, .. }) = self.column("?groupBy", field) else { continue };
            let sql = match (unit, shape) {
                (_, Shape::Text | Shape::Number | Shape::Bool) if unit.is_none() => sql,
                (None, Shape::Moment) => sql,
                (Some(unit), Shape::Moment) => match time_unit(unit) {
                    Some(unit) => dialect::time_bucket(&sql, unit),
                    None => {
                        let detail = "a time is grouped by `hour`, `day`, `week`, `month` or `year`: `createdAt:day`";
                        self.fault("?groupBy", "unknown", detail);
                        continue;
                    }
                },
                (Some(_), _) => {
                    self.fault("?groupBy", "type", format!("`{field}` is no time, and has no such parts"));
                    continue;
                }
                _ => {
                    self.fault("?groupBy", "type", format!("`{field}` has no single value to group by"));
                    continue;
                }
            };
            groups.push(Group { name: name.to_owned(), sql, shape });
        }
        groups
    }

    fn metrics(&mut self, asked: Option<&str>) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = Vec::new();
        let names: Vec<_> = asked.unwrap_or("count").split(',').map(str::trim).collect();
        if METRICS_MAX < names.len() {
            self.fault("?metrics", "too-many", format!("at most {METRICS_MAX}"));
            return metrics;
        }
        for name in names {
            if metrics.iter().any(|it| it.name == name) {
                self.fault("?metrics", "duplicate", format!("`{}` is given more than once", short(name)));
            } else if let Some(kind) = self.metric(name) {
                metrics.push(Metric { name: name.to_owned(), kind });
            }
        }
        metrics
    }

    fn metric(&mut self, name: &str) -> Option<Kind> {
        if name == "count" {
            return Some(Kind::Count("count(*)".to_owned()));
        }
        let form = "must be such as `count`, `count(field)`, `count(distinct field)`, `sum(field)`, `avg(field)`, \
                    `min(field)` or `max(field)`";
        let parts = name.strip_suffix(')').and_then(|it| it.split_once('('));
        let Some((function, field)) = parts.filter(|(it, _)| ["count", "sum", "avg", "min", "max"].contains(it)) else {
            self.fault("?metrics", "unknown", format!("`{}` {form}", short(name)));
            return None;
        };
        let (is_distinct, field) = match field.strip_prefix("distinct ") {
            Some(field) if function == "count" => (true, field.trim()),
            _ => (false, field),
        };
        let Column { sql, shape, field_type } = self.column("?metrics", field)?;
        let is_whole = field_type == Some(FieldType::Integer);
        let kind = match (function, shape) {
            ("count", Shape::Text | Shape::Number | Shape::Bool | Shape::Moment) if is_distinct => {
                Kind::Count(format!("count(DISTINCT {sql})"))
            }
            ("count", Shape::Text | Shape::Number | Shape::Bool | Shape::Moment | Shape::Json) if !is_distinct => {
                Kind::Count(format!("count({sql})"))
            }
            ("sum", Shape::Number) if is_whole => Kind::WholeSum(sql),
            ("sum", Shape::Number) => Kind::Sum(format!("sum({sql})")),
            ("avg", Shape::Number) => Kind::Mean(format!("avg({sql})")),
            ("min" | "max", Shape::Number | Shape::Moment | Shape::Text) => {
                Kind::Extreme(format!("{function}({sql})"), shape)
            }
            _ => {
                self.fault("?metrics", "type", format!("`{field}` has no values for `{function}`"));
                return None;
            }
        };
        Some(kind)
    }

    fn order(&mut self, asked: Option<&str>, groups: &[Group], metrics: &[Metric]) -> Vec<(Sorted, bool)> {
        let mut order: Vec<(Sorted, bool)> = Vec::new();
        let most = groups.len() + metrics.len();
        for part in asked.into_iter().flat_map(|it| it.split(',')).map(str::trim).take(most + 1) {
            let (name, descending) = part.strip_prefix('-').map_or((part, false), |it| (it, true));
            let group = groups.iter().position(|it| it.name == name).map(Sorted::Group);
            let Some(key) = group.or_else(|| metrics.iter().position(|it| it.name == name).map(Sorted::Metric)) else {
                self.fault("?sort", "unknown", format!("`{}` is neither in `groupBy` nor in `metrics`", short(name)));
                continue;
            };
            if order.iter().any(|(it, _)| *it == key) {
                self.fault("?sort", "duplicate", format!("`{}` is given more than once", short(name)));
            } else {
                order.push((key, descending));
            }
        }
        // Groups differ in their values, so with all of these there are no ties.
        for index in 0..groups.len() {
            if !order.iter().any(|(it, _)| *it == Sorted::Group(index)) {
                order.push((Sorted::Group(index), false));
            }
        }
        order
    }

    /// A column of a record, if it has one of that name for this caller.
    fn column(&mut self, parameter: &'static str, name: &str) -> Option<Column> {
        let sql = format!("r.{}", quoted(name));
        match name {
            "id" => return Some(Column { sql, shape: Shape::Text, field_type: None }),
            "createdAt" | "updatedAt" if self.entry.has_own(name) => {
                return Some(Column { sql, shape: Shape::Moment, field_type: None });
            }
            _ => {}
        }
        let (entry, sight) = (self.entry, self.sight);
        let seen = entry.judges.iter().filter(|it| sight.sees(it));
        match seen.clone().find(|it| it.field.name == name) {
            Some(judge) if judge.field.refers_to_many() => {
                self.fault(parameter, "type", format!("`{name}` has several values"));
                None
            }
            Some(judge) => Some(Column { sql, shape: judge.member.shape, field_type: Some(judge.field.field_type) }),
            None => {
                let name = short(name);
                let names = seen.map(|it| it.field.name.as_str()).chain(["id", "createdAt", "updatedAt"]);
                let detail = match nearest(&name, names) {
                    Some(meant) => format!("`{name}` is no field; did you mean `{meant}`?"),
                    None => format!("`{name}` is no field"),
                };
                self.fault(parameter, "unknown", detail);
                None
            }
        }
    }
}

fn time_unit(name: &str) -> Option<TimeUnit> {
    Some(match name {
        "hour" => TimeUnit::Hour,
        "day" => TimeUnit::Day,
        "week" => TimeUnit::Week,
        "month" => TimeUnit::Month,
        "year" => TimeUnit::Year,
        _ => return None,
    })
}

/// Enough of a name to be recognized.
fn short(name: &str) -> String {
    name.chars().take(100).collect()
}
