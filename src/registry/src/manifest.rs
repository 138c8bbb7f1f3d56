//! Manifests and lists of them, docker's schema 2 and OCI's, told apart by media type and by what is in them. Their bytes
//! are kept as they came: digests are of bytes.

use gantry_store::Digest;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// All this client reads, for `Accept`.
pub(crate) const ACCEPT: [&str; 4] = [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX];

/// A piece of content: image-spec "descriptor.md".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// What it is.
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
    /// Other places to get it from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// In a list: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image runs on, in Go's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// `amd64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// An image's manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// What a manifest's address leads to.
#[derive(Clone, Debug)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Vec<Descriptor>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads it. The body's own media type must agree with what it holds, whatever the header says: a document that could
    /// be read both ways is refused (GHSA-77vh-xpmg-72qh).
    pub(crate) fn read(bytes: &[u8], header: &str) -> Result<Document> {
        let bad = |e: serde_json::Error| Error::Protocol(format!("manifest is unreadable: {e}"));
        let kind: Kind = serde_json::from_slice(bytes).map_err(bad)?;
        if kind.schema_version == 1 || header == SCHEMA1 {
            return Err(Error::Unsupported(
                "media type \"application/vnd.docker.distribution.manifest.v1+prettyjws\" is no longer supported: push the image with a client of today to upgrade it to schema 2 or OCI"
                    .to_owned(),
            ));
        }
        let media_type = if kind.media_type.is_empty() {
            header
        } else {
            &kind.media_type
        };
        let index = matches!(media_type, DOCKER_LIST | OCI_INDEX);
        if index != kind.manifests.is_some() && ACCEPT.contains(&media_type) {
            return Err(Error::Protocol(format!(
                "manifest says it is {media_type} and holds something else"
            )));
        }
        if kind.manifests.is_some() {
            let index: Index = serde_json::from_slice(bytes).map_err(bad)?;
            return Ok(Document::Index(index.manifests));
        }
        serde_json::from_slice(bytes)
            .map(Document::Manifest)
            .map_err(bad)
    }
}

impl Platform {
    /// This machine's.
    #[must_use]
    pub fn host() -> Platform {
        Platform {
            architecture: gantry_store::config::host_architecture().to_owned(),
            os: "linux".to_owned(),
            variant: String::new(),
        }
    }

    /// Reads `os/arch[/variant]`, `arch` or `os`.
    ///
    /// # Errors
    /// Empty or too many parts.
    pub fn parse(text: &str) -> Result<Platform> {
        let host = Platform::host();
        let normal = |arch: &str, variant: &str| match (arch, variant) {
            ("x86_64" | "x86-64", v) => ("amd64".to_owned(), v.to_owned()),
            ("aarch64", v) => ("arm64".to_owned(), v.to_owned()),
            ("arm64", "8") => ("arm64".to_owned(), "v8".to_owned()),
            ("armhf", _) => ("arm".to_owned(), "v7".to_owned()),
            ("armel", _) => ("arm".to_owned(), "v6".to_owned()),
            ("arm", "") => ("arm".to_owned(), "v7".to_owned()),
            ("i386", v) => ("386".to_owned(), v.to_owned()),
            (a, v) => (a.to_owned(), v.to_owned()),
        };
        let lower = text.to_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let (os, (architecture, variant)) = match parts[..] {
            [one] if matches!(one, "linux" | "windows" | "freebsd" | "darwin") => {
                (one, (host.architecture, host.variant))
            }
            [one] if !one.is_empty() => ("linux", normal(one, "")),
            [os, arch] if !os.is_empty() && !arch.is_empty() => (os, normal(arch, "")),
            [os, arch, variant] if !os.is_empty() && !arch.is_empty() => {
                (os, normal(arch, variant))
            }
            _ => {
                return Err(Error::Invalid(format!(
                    "{text:?}: unknown operating system or architecture: invalid argument"
                )));
            }
        };
        Ok(Platform {
            architecture,
            os: os.to_owned(),
            variant,
        })
    }

    /// How well an image of that platform runs where this one is asked for: smaller is better, none not at all. An arm
    /// runs older variants too; an arm64 without variant is v8.
    fn rank(&self, image: &Platform) -> Option<u32> {
        if self.os != image.os || self.architecture != image.architecture {
            return None;
        }
        let level =
            |p: &Platform| match (p.architecture.as_str(), p.variant.trim_start_matches('v')) {
                ("arm64", "") => Some(8),
                ("arm", "") => Some(7),
                ("amd64", "") => Some(1),
                (_, number) => number.parse::<u32>().ok(),
            };
        match (level(self), level(image)) {
            (Some(want), Some(has)) if has <= want => Some(want - has),
            (Some(_), Some(_)) => None,
            _ => (self.variant == image.variant || self.variant.is_empty()).then_some(0),
        }
    }

    /// The manifest of a list to take. Attestations (`unknown/unknown`) never match.
    pub(crate) fn pick<'a>(&self, list: &'a [Descriptor]) -> Result<&'a Descriptor> {
        let ranked = list.iter().filter_map(|entry| {
            // An entry without platform is taken where nothing better is there.
            let rank = entry
                .platform
                .as_ref()
                .map_or(Some(u32::MAX), |platform| self.rank(platform))?;
            Some((rank, entry))
        });
        ranked
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, entry)| entry)
            .ok_or_else(|| {
                Error::NotFound(format!(
                    "no matching manifest for {self} in the manifest list entries"
                ))
            })
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.variant)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(platform: &str) -> Descriptor {
        let parts: Vec<&str> = platform.split('/').collect();
        Descriptor {
            media_type: OCI_MANIFEST.into(),
            size: 1,
            digest: Digest::of(platform.as_bytes()),
            urls: Vec::new(),
            platform: Some(Platform {
                os: parts[0].into(),
                architecture: parts[1].into(),
                variant: parts.get(2).copied().unwrap_or_default().into(),
            }),
        }
    }

    #[test]
    fn picks() {
        let list: Vec<Descriptor> = [
            "unknown/unknown",
            "linux/amd64",
            "linux/arm/v6",
            "linux/arm/v7",
            "linux/arm64/v8",
        ]
        .map(entry)
        .into();
        let pick = |text: &str| {
            Platform::parse(text)
                .unwrap()
                .pick(&list)
                .map(|d| d.platform.clone().unwrap())
        };
        assert_eq!(pick("linux/amd64").unwrap().to_string(), "linux/amd64");
        assert_eq!(pick("linux/arm64").unwrap().to_string(), "linux/arm64/v8");
        assert_eq!(pick("linux/arm/v7").unwrap().to_string(), "linux/arm/v7");
        assert_eq!(pick("linux/arm/v6").unwrap().to_string(), "linux/arm/v6");
        assert_eq!(
            pick("linux/s390x").unwrap_err().to_string(),
            "no matching manifest for linux/s390x in the manifest list entries"
        );
        assert!(pick("linux/arm/v5").is_err() && Platform::parse("").is_err());
    }

    #[test]
    fn two_faced_documents_are_refused() {
        let both = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[],"config":{},"layers":[]}"#;
        assert!(Document::read(both, OCI_INDEX).is_err());
        assert!(Document::read(br#"{"schemaVersion":1}"#, SCHEMA1).is_err());
    }
}
