//! config.md: the document itself: its version, unknown properties, annotations, platform.

use crate::case::{Case, accepted, case, refused};
use serde_json::json;

const VERSION: &str = "config.md#specification-version";
const EXTENSIBILITY: &str = "config.md#extensibility";
const ANNOTATIONS: &str = "config.md#annotations";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for version in ["1.0.0", "1.0.2", "1.0.2-dev", "1.1.0", "1.2.0", "1.2.1", "1.3.0"] {
        all.push(accepted(format!("document/version/{version}"), VERSION, json!({"ociVersion": version})));
    }
    for (name, version) in [("empty", ""), ("not-semver", "lunch"), ("other-major", "2.0.0")] {
        all.push(refused(format!("document/version/{name}"), VERSION, json!({"ociVersion": version})));
    }
    all.extend(vec![
        refused("document/version/absent", VERSION, json!({"ociVersion": null})),
        refused("document/version/number", VERSION, json!({"ociVersion": 1})),
        accepted("document/unknown/top", EXTENSIBILITY, json!({"lunch": {"soup": [1, 2, {"a": null}]}})),
        accepted("document/unknown/process", EXTENSIBILITY, json!({"process": {"lunch": true, "user": {"lunch": 1}}})),
        accepted("document/unknown/root", EXTENSIBILITY, json!({"root": {"lunch": true}})),
        accepted("document/unknown/linux", EXTENSIBILITY, json!({"linux": {"lunch": true, "resources": {"lunch": 3}}})),
        accepted(
            "document/unknown/mount",
            EXTENSIBILITY,
            json!({"+mounts": [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "lunch": 1}]}),
        ),
        accepted(
            "document/unknown/other-platforms",
            "config.md#platform-specific-configuration",
            json!({"windows": {"layerFolders": ["a"]}, "solaris": {}, "zos": {}, "vm": {"kernel": {"path": "/k"}}}),
        ),
        accepted("annotations/unknown", ANNOTATIONS, json!({"annotations": {"org.example.lunch": "soup"}})),
        accepted("annotations/empty-value", ANNOTATIONS, json!({"annotations": {"org.example.lunch": ""}})),
        accepted(
            "annotations/image",
            ANNOTATIONS,
            json!({"annotations": {"org.opencontainers.image.os": "linux", "org.opencontainers.image.stopSignal": "SIGTERM"}}),
        ),
        refused("annotations/value-not-a-string", ANNOTATIONS, json!({"annotations": {"org.example.lunch": 1}})),
        refused("annotations/empty-key", ANNOTATIONS, json!({"annotations": {"": "value"}})),
        refused("document/type/mounts-not-a-list", "config.md#valid-values", json!({"mounts": {"a": 1}})),
        refused("document/type/args-not-a-list", "config.md#valid-values", json!({"process": {"args": "/probe"}})),
        refused("document/type/hostname-not-a-string", "config.md#valid-values", json!({"hostname": 5})),
        refused("document/type/readonly-not-a-boolean", "config.md#valid-values", json!({"root": {"readonly": "yes"}})),
        case("document/larger-than-a-pipe", EXTENSIBILITY, |rig| {
            let long = "x".repeat(300_000);
            rig.run(&json!({"annotations": {"org.example.long": long}}), &["pid"])?.ok("pid").map(drop)
        }),
    ]);
    all
}
