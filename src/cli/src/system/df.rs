//! `system df`.

use gantry_api::container::list::Summary;
use gantry_api::system::df::DiskUsage;
use serde_json::json;

use crate::connection::Query;
use crate::container::list::as_float;
use crate::failure::{Failure, Outcome};
use crate::format::list::{Fields, List};
use crate::format::{short_id, table, time, units};
use crate::grammar::{COMMAND as BASE, Command, Parsed, flag, option};
use crate::output;
use crate::session::Session;

/// `system df`.
pub const COMMAND: Command = Command {
    name: "df",
    usage: "[OPTIONS]",
    about: "Show what takes up the disk",
    flags: &[&[
        option(
            "format",
            "string",
            "Template of a row, 'table TEMPLATE' or 'json'",
        ),
        flag("verbose", "Show every image, container and volume").short('v'),
    ]],
    run,
    ..BASE
};

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let usage: DiskUsage = session.engine()?.get("/system/df", &Query::new())?;
    let format = parsed.text("format");
    if parsed.is("verbose") {
        if format.starts_with("table") {
            return Err(Failure::new("the verbose and the format options conflict"));
        }
        if !format.is_empty() {
            return crate::format::list::one(
                format,
                &serde_json::to_value(&usage)?,
                "*formatter.diskUsageContext",
            );
        }
        return output::text(&verbose(&usage));
    }
    List {
        format,
        quiet: false,
        table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
        id: "",
        what: "*formatter.diskUsageContext",
        titles: &[
            ("Type", "TYPE"),
            ("TotalCount", "TOTAL"),
            ("Active", "ACTIVE"),
            ("Size", "SIZE"),
            ("Reclaimable", "RECLAIMABLE"),
        ],
        raw: "",
    }
    .print(&rows(&usage))
}

fn row(kind: &str, total: usize, active: usize, size: i64, free: i64, percent: bool) -> Fields {
    let part = if percent && size > 0 {
        format!(" ({}%)", free.saturating_mul(100) / size)
    } else {
        String::new()
    };
    Fields::from([
        ("Type", json!(kind)),
        ("TotalCount", json!(total.to_string())),
        ("Active", json!(active.to_string())),
        ("Size", json!(units::human(as_float(size)))),
        (
            "Reclaimable",
            json!(format!("{}{part}", units::human(as_float(free)))),
        ),
    ])
}

fn is_active(container: &Summary) -> bool {
    ["running", "paused", "restarting"].contains(&container.state.as_str())
}

fn rows(usage: &DiskUsage) -> Vec<Fields> {
    vec![
        images(usage),
        containers(usage),
        volumes(usage),
        caches(usage),
    ]
}

fn images(usage: &DiskUsage) -> Fields {
    let images = usage.images.as_deref().unwrap_or_default();
    let active: Vec<_> = images.iter().filter(|image| image.containers > 0).collect();
    let known = active
        .iter()
        .filter(|image| image.size != -1 && image.shared_size != -1);
    let used: i64 = known.map(|image| image.size - image.shared_size).sum();
    let free = usage.layers_size - used;
    row(
        "Images",
        images.len(),
        active.len(),
        usage.layers_size,
        free,
        true,
    )
}

fn containers(usage: &DiskUsage) -> Fields {
    let containers = usage.containers.as_deref().unwrap_or_default();
    let (active, idle): (Vec<_>, Vec<_>) = containers
        .iter()
        .partition(|container| is_active(container));
    let all = containers.iter().map(|container| container.size_rw).sum();
    let free = idle.iter().map(|container| container.size_rw).sum();
    row(
        "Containers",
        containers.len(),
        active.len(),
        all,
        free,
        true,
    )
}

fn volumes(usage: &DiskUsage) -> Fields {
    let volumes = usage.volumes.as_deref().unwrap_or_default();
    let data = volumes
        .iter()
        .map(|volume| volume.usage_data.clone().unwrap_or_default());
    let (used, loose): (Vec<_>, Vec<_>) = data.partition(|data| data.ref_count > 0);
    let sum = |list: &[gantry_api::volume::UsageData]| -> i64 {
        list.iter().map(|data| data.size.max(0)).sum()
    };
    let free = sum(&loose);
    row(
        "Local Volumes",
        volumes.len(),
        used.len(),
        sum(&used) + free,
        free,
        true,
    )
}

fn caches(usage: &DiskUsage) -> Fields {
    let caches = usage.build_cache.as_deref().unwrap_or_default();
    let own: Vec<_> = caches.iter().filter(|cache| !cache.shared).collect();
    let all: i64 = own.iter().map(|cache| cache.size).sum();
    let busy: i64 = own
        .iter()
        .filter(|cache| cache.in_use)
        .map(|cache| cache.size)
        .sum();
    let active = caches.iter().filter(|cache| cache.in_use).count();
    row("Build Cache", caches.len(), active, all, all - busy, false)
}

fn size(bytes: i64) -> String {
    units::human(as_float(bytes))
}

fn verbose(usage: &DiskUsage) -> String {
    let caches = usage.build_cache.as_deref().unwrap_or_default();
    let total: i64 = caches
        .iter()
        .filter(|cache| !cache.shared)
        .map(|cache| cache.size)
        .sum();
    format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: {}\n\n{}",
        table::align(&every_image(usage)),
        table::align(&every_container(usage)),
        table::align(&every_volume(usage)),
        size(total),
        table::align(&every_cache(usage))
    )
}

fn every_image(usage: &DiskUsage) -> String {
    let mut text =
        "REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n"
            .to_owned();
    for image in usage.images.iter().flatten() {
        let name = image
            .repo_tags
            .iter()
            .flatten()
            .next()
            .and_then(|name| name.rsplit_once(':'));
        let (repository, tag) = name.unwrap_or(("<none>", "<none>"));
        text += &format!(
            "{repository}\t{tag}\t{}\t{}\t{}\t{}\t{}\t{}\n",
            short_id(&image.id),
            time::ago(image.created),
            units::human_with(as_float(image.size), 3),
            size(image.shared_size),
            size(image.size - image.shared_size),
            image.containers
        );
    }
    text
}

fn every_container(usage: &DiskUsage) -> String {
    let mut text =
        "CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n".to_owned();
    for container in usage.containers.iter().flatten() {
        let mounts = container.mounts.iter().flatten();
        let local = mounts.filter(|mount| mount.driver == "local").count();
        let names = container.names.iter().flatten();
        let names: Vec<&str> = names.map(|name| name.trim_start_matches('/')).collect();
        text += &format!(
            "{}\t{}\t{}\t{local}\t{}\t{}\t{}\t{}\n",
            short_id(&container.id),
            container.image,
            crate::format::list::quote(&crate::format::ellipsis(&container.command, 20)),
            units::human_with(as_float(container.size_rw), 3),
            time::ago(container.created),
            container.status,
            names.join(",")
        );
    }
    text
}

fn every_volume(usage: &DiskUsage) -> String {
    let mut text = "VOLUME NAME\tLINKS\tSIZE\n".to_owned();
    for volume in usage.volumes.iter().flatten() {
        let data = volume.usage_data.clone().unwrap_or_default();
        text += &format!("{}\t{}\t{}\n", volume.name, data.ref_count, size(data.size));
    }
    text
}

fn every_cache(usage: &DiskUsage) -> String {
    let ago = |text: &str| time::parse_rfc3339(text).map(time::ago).unwrap_or_default();
    let mut text = "CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED\n".to_owned();
    for cache in usage.build_cache.iter().flatten() {
        text += &format!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
            short_id(&cache.id),
            cache.kind,
            units::human_with(as_float(cache.size), 3),
            ago(&cache.created_at),
            cache.last_used_at.as_deref().map(ago).unwrap_or_default(),
            cache.usage_count,
            cache.shared
        );
    }
    text
}
