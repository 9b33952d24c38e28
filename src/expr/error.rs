//! Why an expression is refused.

/// A refusal, in words fit for whoever wrote the expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    /// For programs: `expression-malformed`, `expression-too-long`, `expression-unknown-field`,
    /// `expression-type` or `expression-not-supported`.
    pub code: &'static str,
    pub detail: String,
    /// Where it is in the text: characters from its beginning.
    pub position: Option<usize>,
}

impl Error {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), position: None }
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new("expression-malformed", detail)
    }

    pub(super) fn too_long(detail: impl Into<String>) -> Self {
        Self::new("expression-too-long", detail)
    }

    pub(super) fn unknown(detail: impl Into<String>) -> Self {
        Self::new("expression-unknown-field", detail)
    }

    pub(super) fn wrong_type(detail: impl Into<String>) -> Self {
        Self::new("expression-type", detail)
    }

    pub(super) fn not_supported(detail: impl Into<String>) -> Self {
        Self::new("expression-not-supported", detail)
    }

    /// Keeps the innermost place.
    pub(super) fn at(mut self, position: Option<usize>) -> Self {
        self.position = self.position.or(position);
        self
    }
}
