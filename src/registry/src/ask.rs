//! What is asked of a registry beside images: login, tags, search, what a name leads to.

use gantry_store::{Digest, Reference};
use serde::{Deserialize, Serialize};
use ureq::http::Method;

use crate::auth::identity_token;
use crate::client::{Load, Remote, go_error, header, told};
use crate::credentials::Credentials;
use crate::endpoint::Settings;
use crate::error::{Error, Result, Told};
use crate::manifest::{Descriptor, Document, Platform};
use crate::pull;

const ANSWER_MAX: u64 = 16 << 20;

/// The domain of a registry as users and configuration files write it: `https://index.docker.io/v1/` is docker.io.
#[must_use]
pub fn domain_of(address: &str) -> String {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = bare.split('/').next().unwrap_or_default();
    match host {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

/// Checks credentials with the registry they name. Answers a refresh token where the registry gives one.
///
/// # Errors
/// docker's `login attempt to URL failed with status: 401 Unauthorized` and others.
pub fn login(settings: &Settings, credentials: &Credentials) -> Result<String> {
    let domain = domain_of(&credentials.serveraddress);
    let remote = Remote::connect_itself(settings, &domain, "", "", credentials)?;
    let url = format!("{}/v2/", remote.url());
    let response = remote.send(&Method::GET, "/v2/", &[], Load::None)?;
    let status = response.status();
    if status != 200 {
        let reason = status.canonical_reason().unwrap_or_default();
        return Err(Error::Unauthorized(format!(
            "login attempt to {url} failed with status: {} {reason}",
            status.as_u16()
        )));
    }
    match remote.challenge() {
        Some(challenge) => identity_token(remote.agent(), challenge, remote.credentials()),
        None => Ok(String::new()),
    }
}

/// All tags of a repository, as the registry orders them.
///
/// # Errors
/// In docker's words.
pub fn tags(
    settings: &Settings,
    reference: &Reference,
    credentials: &Credentials,
) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct List {
        tags: Option<Vec<String>>,
    }
    let path = reference.path();
    let remote = Remote::connect(settings, reference.domain(), path, "pull", credentials)?;
    let mut next = Some(format!("/v2/{path}/tags/list"));
    let mut all = Vec::new();
    while let Some(page) = next {
        let mut response = remote.send(&Method::GET, &page, &[], Load::None)?;
        if response.status() != 200 {
            let (status, told) = told(&mut response);
            return Err(told.of_pull(status, reference));
        }
        next = header(&response, "link").and_then(next_page);
        let bytes = response
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_vec();
        let bytes = bytes.map_err(|e| Error::Unavailable(format!("list of tags: {e}")))?;
        let list: List = serde_json::from_slice(&bytes)
            .map_err(|e| Error::Protocol(format!("list of tags is unreadable: {e}")))?;
        all.extend(list.tags.unwrap_or_default());
    }
    Ok(all)
}

/// `</v2/x/tags/list?last=b&n=2>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (url, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| url.to_owned())
}

/// What a name leads to: docker's `/distribution/NAME/json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Distribution {
    /// The manifest or list.
    pub descriptor: Descriptor,
    /// What it runs on.
    pub platforms: Vec<Platform>,
}

/// Asks what a name leads to, without pulling.
///
/// # Errors
/// In docker's words.
pub fn distribution(
    settings: &Settings,
    reference: &Reference,
    credentials: &Credentials,
) -> Result<Distribution> {
    let reference = reference.key();
    let remote = Remote::connect(
        settings,
        reference.domain(),
        reference.path(),
        "pull",
        credentials,
    )?;
    let wanted = reference.digest().map_or_else(
        || reference.tag().unwrap_or("latest").to_owned(),
        Digest::to_string,
    );
    let fetched = pull::resolve(&remote, &reference, &wanted)?;
    let platforms = match Document::read(&fetched.bytes, &fetched.media_type)? {
        Document::Index(list) => list
            .into_iter()
            .filter_map(|entry| entry.platform)
            .collect(),
        Document::Manifest(manifest) => {
            let path = format!("/v2/{}/blobs/{}", reference.path(), manifest.config.digest);
            let mut response = remote.send(&Method::GET, &path, &[], Load::None)?;
            if response.status() != 200 {
                let (status, told) = told(&mut response);
                return Err(told.of_pull(status, &reference));
            }
            let bytes = response
                .body_mut()
                .with_config()
                .limit(ANSWER_MAX)
                .read_to_vec();
            let bytes =
                bytes.map_err(|e| Error::Unavailable(format!("image configuration: {e}")))?;
            let platform: Platform = serde_json::from_slice(&bytes)
                .map_err(|e| Error::Protocol(format!("image configuration is unreadable: {e}")))?;
            vec![platform]
        }
    };
    let descriptor = Descriptor {
        media_type: fetched.media_type,
        size: fetched.bytes.len() as u64,
        digest: fetched.digest,
        urls: Vec::new(),
        platform: None,
    };
    Ok(Distribution {
        descriptor,
        platforms,
    })
}

/// One repository found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hit {
    /// How many like it.
    pub star_count: i64,
    /// One of docker's own choosing.
    pub is_official: bool,
    /// Repository.
    pub name: String,
    /// Built by docker hub; always false today.
    pub is_automated: bool,
    /// One line.
    pub description: String,
}

/// Searches an index: docker hub, or the host a term begins with.
///
/// # Errors
/// The way there; an index that does not search.
pub fn search(
    settings: &Settings,
    term: &str,
    limit: u32,
    credentials: &Credentials,
) -> Result<Vec<Hit>> {
    #[derive(Deserialize)]
    struct Found {
        #[serde(default)]
        results: Vec<Hit>,
    }
    if term.is_empty() || term.contains("://") {
        return Err(Error::Invalid(format!(
            "invalid repository name: repository name ({term}) should not have a scheme"
        )));
    }
    let (host, query) = match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => (
            "index.docker.io",
            term.strip_prefix("library/").unwrap_or(term),
        ),
    };
    let url = format!("https://{host}/v1/search");
    let agent = settings.agent(host, false)?;
    let mut request = agent
        .get(&url)
        .query("q", query)
        .query("n", limit.to_string());
    if let Some(basic) = credentials.basic() {
        request = request.header("Authorization", basic);
    }
    let shown = format!("{url}?q={query}&n={limit}");
    let mut response = request
        .call()
        .map_err(|e| Error::Unavailable(go_error("Get", &shown, &e)))?;
    let status = response.status().as_u16();
    let bytes = response
        .body_mut()
        .with_config()
        .limit(ANSWER_MAX)
        .read_to_vec();
    let bytes = bytes.map_err(|e| Error::Unavailable(go_error("Get", &shown, &e)))?;
    if status != 200 {
        tracing::debug!("search: {:?}", Told::read(status, &bytes));
        return Err(Error::Unavailable(format!(
            "unexpected status code {status}"
        )));
    }
    let found: Found = serde_json::from_slice(&bytes)
        .map_err(|e| Error::Protocol(format!("answer is unreadable: {e}")))?;
    Ok(found.results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_links() {
        assert_eq!(domain_of("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(domain_of("localhost:5000"), "localhost:5000");
        assert_eq!(domain_of("https://r.example/v2/"), "r.example");
        assert_eq!(
            next_page("</v2/a?n=1>; rel=\"next\"").as_deref(),
            Some("/v2/a?n=1")
        );
        assert_eq!(next_page("nonsense"), None);
    }
}
