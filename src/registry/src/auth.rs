//! Authorization: what a 401 asks for (RFC 7235 challenges) and the tokens got for it, kept while they are good.
//! Bearer tokens by distribution's token protocol: GET with the user's name and password, POST with a refresh token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::Agent;

use crate::client::go_error;
use crate::credentials::Credentials;
use crate::error::{Error, Result, Told};

/// Taken where a token server does not say (token protocol, `expires_in`).
const DEFAULT_LIFE: u64 = 60;
/// A token this near its end is got anew.
const MARGIN: Duration = Duration::from_secs(10);
const TOKEN_MAX: u64 = 1 << 20;

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: String,
        scope: String,
    },
}

impl Challenge {
    /// Reads `WWW-Authenticate`; of several the first one known.
    pub(crate) fn parse(header: &str) -> Option<Challenge> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        let mut take = |key: &str| parameters.remove(key).unwrap_or_default();
        let realm = take("realm");
        if realm.is_empty() {
            return None;
        }
        Some(Challenge::Bearer {
            realm,
            service: take("service"),
            scope: take("scope"),
        })
    }
}

/// `key="value, with commas",key=value`.
fn parameters(text: &str) -> HashMap<String, String> {
    let mut all = HashMap::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut chars = quoted.char_indices();
                let mut end = quoted.len();
                while let Some((at, c)) = chars.next() {
                    match c {
                        '\\' => value.extend(chars.next().map(|(_, c)| c)),
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        c => value.push(c),
                    }
                }
                (value, &quoted[end.min(quoted.len())..])
            }
            None => {
                let (value, left) = after.split_once(',').unwrap_or((after, ""));
                (value.trim().to_owned(), left)
            }
        };
        all.insert(key, value);
        rest = left;
    }
    all
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    expires_in: Option<u64>,
}

/// Tokens of one user at one registry.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: Mutex<HashMap<String, (String, Instant)>>,
}

impl Tokens {
    /// The value of `Authorization` for these scopes, if it is known already.
    pub(crate) fn known(&self, scopes: &str) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, until) = known.get(scopes)?;
        (Instant::now() + MARGIN < *until).then(|| value.clone())
    }

    /// Answers a challenge.
    pub(crate) fn answer(
        &self,
        agent: &Agent,
        challenge: &Challenge,
        scopes: &str,
        credentials: &Credentials,
    ) -> Result<String> {
        let (value, life) = match challenge {
            Challenge::Basic => {
                let none = || Error::Unauthorized("no basic auth credentials".to_owned());
                (credentials.basic().ok_or_else(none)?, 3600)
            }
            Challenge::Bearer { .. } if !credentials.registrytoken.is_empty() => {
                (format!("Bearer {}", credentials.registrytoken), 3600)
            }
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let asked = if scopes.is_empty() { scope } else { scopes };
                let token = fetch(agent, realm, service, asked, credentials, false)?;
                let value = if token.token.is_empty() {
                    token.access_token
                } else {
                    token.token
                };
                (
                    format!("Bearer {value}"),
                    token.expires_in.unwrap_or(DEFAULT_LIFE).max(DEFAULT_LIFE),
                )
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(
            scopes.to_owned(),
            (value.clone(), Instant::now() + Duration::from_secs(life)),
        );
        Ok(value)
    }
}

fn fetch(
    agent: &Agent,
    realm: &str,
    service: &str,
    scopes: &str,
    credentials: &Credentials,
    offline: bool,
) -> Result<Token> {
    let failed = |method: &str, e: ureq::Error| Error::Unavailable(go_error(method, realm, &e));
    let scopes: Vec<&str> = scopes
        .split(' ')
        .filter(|scope| !scope.is_empty())
        .collect();
    let mut response = if credentials.identitytoken.is_empty() {
        let mut request = agent.get(realm);
        if !service.is_empty() {
            request = request.query("service", service);
        }
        if offline {
            request = request
                .query("offline_token", "true")
                .query("client_id", "docker");
        }
        for scope in &scopes {
            request = request.query("scope", *scope);
        }
        if let Some(basic) = credentials.basic() {
            request = request
                .query("account", &credentials.username)
                .header("Authorization", basic);
        }
        request.call().map_err(|e| failed("Get", e))?
    } else {
        let form = [
            ("grant_type", "refresh_token"),
            ("service", service),
            ("client_id", "gantry"),
            ("scope", &scopes.join(" ")),
            ("refresh_token", &credentials.identitytoken),
        ];
        agent
            .post(realm)
            .send_form(form)
            .map_err(|e| failed("Post", e))?
    };
    let status = response.status().as_u16();
    let body = response
        .body_mut()
        .with_config()
        .limit(TOKEN_MAX)
        .read_to_vec();
    let body = body.map_err(|e| failed("Get", e))?;
    if status != 200 {
        return Err(Told::read(status, &body).plain(status));
    }
    let token: Token = serde_json::from_slice(&body)
        .map_err(|e| Error::Protocol(format!("unable to decode token response: {e}")))?;
    if token.token.is_empty() && token.access_token.is_empty() {
        return Err(Error::Protocol(
            "authorization server did not include a token in the response".to_owned(),
        ));
    }
    Ok(token)
}

/// A refresh token for a user, where the token server gives any (`docker login`).
pub(crate) fn identity_token(
    agent: &Agent,
    challenge: &Challenge,
    credentials: &Credentials,
) -> Result<String> {
    match challenge {
        Challenge::Basic => Ok(String::new()),
        Challenge::Bearer { realm, service, .. } => {
            fetch(agent, realm, service, "", credentials, true).map(|token| token.refresh_token)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges() {
        assert_eq!(
            Challenge::parse(r#"Basic realm="x""#),
            Some(Challenge::Basic)
        );
        let text = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let Some(Challenge::Bearer {
            realm,
            service,
            scope,
        }) = Challenge::parse(text)
        else {
            panic!()
        };
        assert_eq!(realm, "https://auth.docker.io/token");
        assert_eq!(
            (service.as_str(), scope.as_str()),
            ("registry.docker.io", "repository:a/b:pull,push")
        );
        assert_eq!(Challenge::parse("Digest x=1"), None);
        assert_eq!(Challenge::parse("Bearer service=x"), None);
    }

    proptest! {
        #[test]
        fn any_header_is_read(text in "(Bearer )?\\PC{0,60}") {
            let _: Option<Challenge> = Challenge::parse(&text);
        }
    }
}
