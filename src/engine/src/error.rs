//! The engine's one error: a kind that maps once to an HTTP status, and docker's words.

use http::StatusCode;

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is malformed or asks for something impossible (400).
    Invalid,
    /// Credentials are missing or wrong (401).
    Unauthorized,
    /// The thing may not be done to this object (403).
    Denied,
    /// No such object (404).
    NotFound,
    /// The object's state or name forbids it (409).
    Conflict,
    /// It already is so (304, no body).
    NotModified,
    /// This engine or machine cannot do it (501).
    Unsupported,
    /// Not now (503).
    Unavailable,
    /// Everything else: kernel, runtime, disk (500).
    Internal,
}

/// A refusal or failure with its text as the client shows it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Its kind.
    pub kind: Kind,
    /// One line, docker's words where docker has some.
    pub message: String,
}

/// Short for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $kind:ident;)*) => {
        impl Error {$(
            $(#[$doc])*
            pub fn $name(message: impl Into<String>) -> Self {
                Self { kind: Kind::$kind, message: message.into() }
            }
        )*}
    };
}
kinds! {
    /// 400.
    invalid Invalid;
    /// 401.
    unauthorized Unauthorized;
    /// 403.
    denied Denied;
    /// 404.
    not_found NotFound;
    /// 409.
    conflict Conflict;
    /// 501.
    unsupported Unsupported;
    /// 503.
    unavailable Unavailable;
    /// 500.
    internal Internal;
}

impl Error {
    /// 304: the object already is in the wanted state.
    #[must_use]
    pub fn not_modified() -> Self {
        Self {
            kind: Kind::NotModified,
            message: String::new(),
        }
    }

    /// The only place where kinds become status codes.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Unauthorized => StatusCode::UNAUTHORIZED,
            Kind::Denied => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::NotModified => StatusCode::NOT_MODIFIED,
            Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A failed kernel call: what was done to what, and the kernel's answer in lower case.
    pub fn kernel(step: impl std::fmt::Display, source: impl Into<std::io::Error>) -> Self {
        Self::internal(format!("{step}: {}", describe(&source.into())))
    }
}

/// An error of the kernel without Rust's "(os error 2)".
#[must_use]
pub fn describe(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => {
            let text = nix::errno::Errno::from_raw(number).desc();
            let mut letters = text.chars();
            let first = letters.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
        None => error.to_string(),
    }
}

impl From<gantry_store::error::Error> for Error {
    fn from(error: gantry_store::error::Error) -> Self {
        use gantry_store::error::Error as Store;
        let message = error.to_string();
        match error {
            Store::NotFound(_) => Self::not_found(message),
            Store::Conflict(_) => Self::conflict(message),
            Store::Invalid(_) => Self::invalid(message),
            Store::Unsupported(_) => Self::unsupported(message),
            Store::Corrupt(_) | Store::Io { .. } | Store::Stream(_) => Self::internal(message),
        }
    }
}

impl From<gantry_api::filters::FiltersError> for Error {
    fn from(error: gantry_api::filters::FiltersError) -> Self {
        Self::invalid(error.to_string())
    }
}
