//! `linux.cgroupsPath` to a directory, for the cgroupfs manager. By text alone: `..` never leaves the hierarchy.

use std::path::{Path, PathBuf};

use super::Request;
use super::layout::{Hierarchy, below};

/// The directory in a v1 hierarchy: absolute paths below its mount, others below this process's cgroup.
pub fn v1(request: &Request<'_>, hierarchy: &Hierarchy) -> PathBuf {
    let path = wanted(request);
    let base = if path.is_absolute() {
        &hierarchy.mountpoint
    } else {
        &hierarchy.own
    };
    below(base, path)
}

/// The directory in the v2 hierarchy: a relative path stands beside this process's cgroup, since a cgroup that has
/// processes cannot give controllers to its children (the "no internal processes" rule of cgroups(7)).
pub fn v2(request: &Request<'_>, hierarchy: &Hierarchy) -> PathBuf {
    let path = wanted(request);
    if path.is_absolute() || hierarchy.own == hierarchy.mountpoint {
        return below(&hierarchy.mountpoint, path);
    }
    below(
        hierarchy.own.parent().unwrap_or(&hierarchy.mountpoint),
        path,
    )
}

fn wanted<'a>(request: &Request<'a>) -> &'a Path {
    Path::new(request.path.filter(|p| !p.is_empty()).unwrap_or(request.id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cgroups::Manager;
    use crate::config::resources::Resources;

    fn places(path: Option<&str>, own: &str) -> (String, String) {
        let (resources, properties) = (Resources::default(), BTreeMap::new());
        let request = Request {
            id: "box",
            path,
            manager: Manager::Cgroupfs,
            rootless: false,
            owner: None,
            resources: &resources,
            properties: &properties,
        };
        let hierarchy = Hierarchy {
            controllers: String::new(),
            mountpoint: "/c".into(),
            own: own.into(),
        };
        let text = |p: PathBuf| p.display().to_string();
        (
            text(v1(&request, &hierarchy)),
            text(v2(&request, &hierarchy)),
        )
    }

    #[test]
    fn paths() {
        let both = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            places(Some("/kube/x"), "/c/own"),
            both("/c/kube/x", "/c/kube/x")
        );
        assert_eq!(
            places(None, "/c/own/me"),
            both("/c/own/me/box", "/c/own/box")
        );
        assert_eq!(places(Some("a/b"), "/c/me"), both("/c/me/a/b", "/c/a/b"));
        assert_eq!(places(Some(""), "/c"), both("/c/box", "/c/box"));
        assert_eq!(places(Some("/../../x"), "/c"), both("/c/x", "/c/x"));
        assert_eq!(places(Some("../x"), "/c/me"), both("/c/me/x", "/c/x"));
    }
}
