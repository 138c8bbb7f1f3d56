//! How a case ends: passed, failed with a reason, or skipped with what the machine lacks.

/// Why a case did not pass.
#[derive(Debug)]
pub enum Stop {
    /// The runtime does not do what the clause asks.
    Failed(String),
    /// The machine lacks what the case needs; the text names it.
    Skipped(String),
}

/// The result of a case or of one of its steps.
pub type Verdict<T = ()> = Result<T, Stop>;

impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(format!("the suite itself: {error}"))
    }
}

/// Ends the case as failed.
pub fn fail<T>(reason: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(reason.into()))
}

/// Ends the case as skipped for want of `missing`.
pub fn skip<T>(missing: impl Into<String>) -> Verdict<T> {
    Err(Stop::Skipped(missing.into()))
}

/// Fails the case with the formatted reason unless the condition holds.
macro_rules! require {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err($crate::verdict::Stop::Failed(format!($($reason)+)));
        }
    };
}

/// Fails unless two values are equal; the reason shows both.
pub fn same<A: PartialEq<B> + std::fmt::Debug, B: std::fmt::Debug>(what: &str, seen: A, wanted: B) -> Verdict {
    require!(seen == wanted, "{what}: {seen:?} instead of {wanted:?}");
    Ok(())
}
