//! What a registry or the way to it refuses, in docker's words: clients and people know them.

use gantry_store::Reference;

/// An error of a registry. `Display` is one line, ready for `{"message": …}`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such repository, tag or digest, or it is hidden from this user.
    #[error("{0}")]
    NotFound(String),
    /// Credentials are missing or wrong.
    #[error("{0}")]
    Unauthorized(String),
    /// The registry says no.
    #[error("{0}")]
    Denied(String),
    /// The caller's input is wrong.
    #[error("{0}")]
    Invalid(String),
    /// This client does not do it.
    #[error("{0}")]
    Unsupported(String),
    /// The registry or the way to it fails; trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// The registry answered what the protocol does not allow.
    #[error("{0}")]
    Protocol(String),
    /// The caller gave up.
    #[error("context canceled")]
    Canceled,
    /// The store's.
    #[error(transparent)]
    Store(#[from] gantry_store::Error),
}

/// Result of a registry.
pub type Result<T> = std::result::Result<T, Error>;

/// One error of a registry's answer (distribution-spec, Error Codes).
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(crate) struct Told {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(serde::Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<Told>,
    #[serde(default)]
    details: Option<String>,
}

impl Told {
    /// Reads an answer's body; one without errors in it becomes docker's text for the status.
    pub(crate) fn read(status: u16, body: &[u8]) -> Told {
        if let Ok(body) = serde_json::from_slice::<Body>(body) {
            if let Some(first) = body.errors.into_iter().next() {
                return first;
            }
            if let Some(details) = body.details {
                return Told {
                    code: "UNAUTHORIZED".to_owned(),
                    message: details,
                };
            }
        }
        let (code, message) = match status {
            401 => ("UNAUTHORIZED", "authentication required"),
            403 => ("DENIED", "requested access to the resource is denied"),
            404 => ("NAME_UNKNOWN", "repository name not known to registry"),
            429 => ("TOOMANYREQUESTS", "too many requests"),
            _ => ("", ""),
        };
        if !code.is_empty() {
            return Told {
                code: code.to_owned(),
                message: message.to_owned(),
            };
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        Told {
            code: "UNKNOWN".to_owned(),
            message: format!("received unexpected HTTP status: {status} {}", text.trim())
                .trim_end()
                .to_owned(),
        }
    }

    /// `manifest unknown: manifest unknown`.
    fn text(&self) -> String {
        if self.code == "UNKNOWN" {
            return self.message.clone();
        }
        format!(
            "{}: {}",
            self.code.to_lowercase().replace('_', " "),
            self.message
        )
    }

    /// The error of a request that concerns no particular image.
    pub(crate) fn plain(&self, status: u16) -> Error {
        match (self.code.as_str(), status) {
            ("UNAUTHORIZED", _) => Error::Unauthorized(self.text()),
            ("DENIED", _) => Error::Denied(self.text()),
            ("MANIFEST_UNKNOWN" | "NAME_UNKNOWN" | "BLOB_UNKNOWN", _) => {
                Error::NotFound(self.text())
            }
            ("TOOMANYREQUESTS", _) | (_, 500..) => Error::Unavailable(self.text()),
            _ => Error::Protocol(self.text()),
        }
    }

    /// The error of a pull, as docker tells it.
    pub(crate) fn of_pull(&self, status: u16, reference: &Reference) -> Error {
        let (name, text) = (reference.familiar_name(), self.text());
        match self.code.as_str() {
            "DENIED" => Error::NotFound(format!(
                "pull access denied for {name}, repository does not exist or may require 'docker login': {text}"
            )),
            "MANIFEST_UNKNOWN" => Error::NotFound(format!(
                "manifest for {} not found: {text}",
                reference.familiar()
            )),
            "NAME_UNKNOWN" => Error::NotFound(format!("repository {name} not found: {text}")),
            _ => self.plain(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_words() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        let reference = Reference::parse("localhost:5000/a:x").unwrap();
        assert_eq!(
            Told::read(404, body).of_pull(404, &reference).to_string(),
            "manifest for localhost:5000/a:x not found: manifest unknown: manifest unknown"
        );
        let denied = br#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
        assert_eq!(
            Told::read(401, denied)
                .of_pull(401, &Reference::parse("nope").unwrap())
                .to_string(),
            "pull access denied for nope, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"
        );
        assert_eq!(
            Told::read(401, b"").plain(401).to_string(),
            "unauthorized: authentication required"
        );
        assert_eq!(
            Told::read(500, b"oops").plain(500).to_string(),
            "received unexpected HTTP status: 500 oops"
        );
    }
}
