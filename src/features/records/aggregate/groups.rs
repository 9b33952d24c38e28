//! The statement that makes groups, and its rows as JSON.
use std::io::Write as _;

use super::super::error::Error;
use super::super::projection::write_cell;
use super::super::statement::Statement;
use super::super::store::ALIAS;
use super::asked::{Group, Kind, Metric, Question, Sorted};
use crate::base::text::write_json;
use crate::db::{self, Row, Tx};
use crate::http::Fault;

/// A question as the database is asked it.
#[derive(Debug)]
pub(super) struct Plan {
    statement: Statement,
    groups: Vec<Group>,
    metrics: Vec<Metric>,
    limit: u64,
}

/// What is wrong with a sum that no 64 bits hold.
struct TooLarge(String);

pub(super) fn plan(question: Question, from: &str, restriction: Option<Statement>) -> Plan {
    let Question { groups, metrics, order, limit } = question;
    let mut columns: Vec<String> = groups.iter().map(|it| it.sql.clone()).collect();
    for metric in &metrics {
        match &metric.kind {
            Kind::Count(sql) | Kind::Sum(sql) | Kind::Mean(sql) | Kind::Extreme(sql, _) => columns.push(sql.clone()),
            Kind::WholeSum(sql) => columns.extend([high(sql), low(sql)]),
        }
    }
    let mut statement = Statement::new(format!("SELECT {} FROM {} AS {ALIAS}", columns.join(", "), from));
    if let Some(restriction) = restriction {
        statement.push(" WHERE ").append(restriction);
    }
    if !groups.is_empty() {
        let keys: Vec<_> = groups.iter().map(|it| it.sql.as_str()).collect();
        statement.push(&format!(" GROUP BY {}", keys.join(", ")));
    }
    for (index, (key, descending)) in order.into_iter().enumerate() {
        let direction = if descending { "DESC" } else { "ASC" };
        let keys = match key {
            Sorted::Group(it) => vec![groups[it].sql.clone()],
            Sorted::Metric(it) => match &metrics[it].kind {
                Kind::Count(sql) | Kind::Sum(sql) | Kind::Mean(sql) | Kind::Extreme(sql, _) => vec![sql.clone()],
                // What is carried over belongs to the upper half.
                Kind::WholeSum(sql) => {
                    let (high, low) = (high(sql), low(sql));
                    vec![format!("({high} + ({low} >> 32))"), format!("({low} & 4294967295)")]
                }
            },
        };
        for (part, key) in keys.iter().enumerate() {
            statement.push(if index + part == 0 { " ORDER BY " } else { ", " });
            statement.push(&format!("{key} {direction}"));
        }
    }
    statement.push(" LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1));
    Plan { statement, groups, metrics, limit }
}

/// The halves of whole numbers, summed each for itself: neither sum can be too large for 64 bits.
fn high(sql: &str) -> String {
    format!("sum({sql} >> 32)")
}

fn low(sql: &str) -> String {
    format!("sum({sql} & 4294967295)")
}

/// The whole answer.
pub(super) fn run(tx: &mut Tx<'_>, plan: &Plan) -> Result<Vec<u8>, Error> {
    let mut out = b"{\"data\":[".to_vec();
    let (mut count, mut too_large) = (0, None);
    tx.each(&plan.statement.sql, &plan.statement.values, &mut |row| {
        count += 1;
        if count <= plan.limit && too_large.is_none() {
            if 1 < count {
                out.push(b',');
            }
            too_large = plan.write(row, &mut out)?.err();
        }
        Ok(())
    })?;
    if let Some(TooLarge(name)) = too_large {
        let detail = format!("`{name}` is beyond what 64 bits hold in one of the groups");
        return Err(Error::Invalid(vec![Fault::new("?metrics", "out-of-range", detail)]));
    }
    // Writing to a vector cannot fail.
    let _ = write!(out, "],\"meta\":{{\"limit\":{},\"hasMore\":{}}}}}", plan.limit, plan.limit < count);
    Ok(out)
}

impl Plan {
    fn write(&self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<Result<(), TooLarge>, db::Error> {
        out.push(b'{');
        let mut column = 0;
        let key = |name: &str, column: usize, out: &mut Vec<u8>| {
            if 0 < column {
                out.push(b',');
            }
            write_json(name, out);
            out.push(b':');
        };
        for group in &self.groups {
            key(&group.name, column, out);
            write_cell(row.cell(column)?, group.shape, column, out)?;
            column += 1;
        }
        for metric in &self.metrics {
            key(&metric.name, column, out);
            match &metric.kind {
                Kind::Count(_) => {
                    let _ = write!(out, "{}", row.integer(column)?);
                }
                Kind::WholeSum(_) if row.is_null(column)? => out.extend_from_slice(b"null"),
                Kind::WholeSum(_) => {
                    let sum = i128::from(row.integer(column)?) * (1 << 32) + i128::from(row.integer(column + 1)?);
                    let Ok(sum) = i64::try_from(sum) else { return Ok(Err(TooLarge(metric.name.clone()))) };
                    let _ = write!(out, "{sum}");
                }
                Kind::Sum(_) | Kind::Mean(_) if row.is_null(column)? => out.extend_from_slice(b"null"),
                Kind::Sum(_) | Kind::Mean(_) => {
                    let number = row.real(column)?;
                    if !number.is_finite() {
                        return Ok(Err(TooLarge(metric.name.clone())));
                    }
                    let _ = serde_json::to_writer(&mut *out, &number);
                }
                Kind::Extreme(_, shape) => write_cell(row.cell(column)?, *shape, column, out)?,
            }
            column += if matches!(metric.kind, Kind::WholeSum(_)) { 2 } else { 1 };
        }
        out.push(b'}');
        Ok(Ok(()))
    }
}
