//! Credentials as clients hand them in: `X-Registry-Auth`, base64url of JSON.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

/// What a user is known by at a registry. All empty: nobody.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Credentials {
    /// Name.
    pub username: String,
    /// Password.
    pub password: String,
    /// `user:password` in base64, as old configuration files have it.
    pub auth: String,
    /// The registry they are for, as the client calls it.
    pub serveraddress: String,
    /// A refresh token got by a login before.
    pub identitytoken: String,
    /// A bearer token to send as it is.
    pub registrytoken: String,
}

impl std::fmt::Debug for Credentials {
    /// Never the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the header. Like docker, one that cannot be read is taken for none.
    #[must_use]
    pub fn from_header(value: &str) -> Credentials {
        let config =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let json = GeneralPurpose::new(&URL_SAFE, config).decode(value.trim());
        let read = json
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        read.map(Credentials::complete).unwrap_or_default()
    }

    /// Takes name and password out of `auth` where they stand only there.
    #[must_use]
    pub fn complete(mut self) -> Credentials {
        if self.username.is_empty() && !self.auth.is_empty() {
            let plain = base64::engine::general_purpose::STANDARD
                .decode(&self.auth)
                .unwrap_or_default();
            if let Some((user, password)) = String::from_utf8_lossy(&plain).split_once(':') {
                (self.username, self.password) =
                    (user.to_owned(), password.trim_end_matches('\0').to_owned());
            }
        }
        self
    }

    /// The value of a Basic authorization; none without a name.
    pub(crate) fn basic(&self) -> Option<String> {
        if self.username.is_empty() {
            return None;
        }
        let plain = format!("{}:{}", self.username, self.password);
        Some(format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(plain)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_clients() {
        assert_eq!(Credentials::from_header("e30="), Credentials::default());
        assert_eq!(Credentials::from_header("e30"), Credentials::default());
        assert_eq!(Credentials::from_header("%%%"), Credentials::default());
        let json = br#"{"username":"u","password":"p?>","serveraddress":"x"}"#;
        let text = base64::engine::general_purpose::URL_SAFE.encode(json);
        assert_eq!(Credentials::from_header(&text).password, "p?>");
        let old = Credentials {
            auth: "dTpw".into(),
            ..Credentials::default()
        }
        .complete();
        assert_eq!((old.username.as_str(), old.password.as_str()), ("u", "p"));
    }
}
