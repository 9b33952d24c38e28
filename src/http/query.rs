//! The parameters of a query that an operation does not have.
use poem::{FromRequest, Request, RequestBody};

use super::{Fault, Problem};
use crate::base::text::nearest;

/// Most parameters that are looked at.
const PARAMETERS_MAX: usize = 20;
/// As much of a name as is told back.
const NAME_CHARACTERS_MAX: usize = 100;

/// Refuses parameters that an operation does not have, and those given twice: a typing error in `dryRun` must not do
/// what was only to be tried.
pub fn must_be_among(request: &Request, names: &[&str]) -> Result<(), Problem> {
    let mut seen: Vec<String> = Vec::new();
    let mut faults = Vec::new();
    let query = request.uri().query().unwrap_or_default();
    for (name, _) in form_urlencoded::parse(query.as_bytes()).take(PARAMETERS_MAX) {
        let name: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
        let mut fault = |code, detail: String| faults.push(Fault::new(format!("?{name}"), code, detail));
        if seen.contains(&name) {
            fault("duplicate", "is given more than once".to_owned());
        } else if !names.contains(&name.as_str()) {
            fault(
                "unknown",
                match nearest(&name, names.iter().copied()) {
                    Some(meant) => format!("is no parameter; did you mean `{meant}`?"),
                    None => "is no parameter".to_owned(),
                },
            );
        }
        seen.push(name);
    }
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
}

/// A request without parameters: an operation that has none refuses those that are sent.
#[derive(Clone, Copy, Debug)]
pub struct NoQuery;

impl<'a> FromRequest<'a> for NoQuery {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        must_be_among(request, &[])?;
        Ok(Self)
    }
}
