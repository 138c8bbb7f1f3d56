//! The room on the real kernel, in whatever layout this machine has; skipped where the user may not make cgroups.

use std::process::{Child, Command, Stdio};

use super::*;

fn request<'a>(
    id: &'a str,
    resources: &'a Resources,
    properties: &'a BTreeMap<String, String>,
) -> Request<'a> {
    Request {
        id,
        path: None,
        manager: Manager::Cgroupfs,
        rootless: false,
        owner: None,
        resources,
        properties,
    }
}

/// A cgroup of this test's own with limits and a process in it, or `None` where that is not possible here.
fn occupied(name: &str, resources: &Resources) -> Option<(Cgroup, Child)> {
    let layout = Layout::probe().unwrap();
    let probe = layout
        .hierarchies
        .first()
        .map(|h| h.own.join(format!("{name}-probe")));
    if probe.is_none_or(|p| dir::make(&p).and_then(|_| dir::remove(&p)).is_err()) {
        println!("skipped: this user may not make cgroups here");
        return None;
    }
    let properties = BTreeMap::new();
    let cgroup = Cgroup::create(&request(name, resources, &properties), &layout).unwrap();
    let child = Command::new("sleep")
        .arg("60")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    cgroup.attach(child.id() as i32).unwrap();
    Some((cgroup, child))
}

fn end(cgroup: &Cgroup, child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
    cgroup.remove().unwrap();
    assert!(!cgroup.exists());
    cgroup.remove().unwrap();
}

#[test]
fn made_joined_refused_twice_and_removed() {
    let name = format!("keel-unit-{}-a", std::process::id());
    let resources = Resources::for_create(None).unwrap();
    let Some((cgroup, mut child)) = occupied(&name, &resources) else {
        return;
    };
    let pid = child.id() as i32;
    assert_eq!(cgroup.pids().unwrap(), [pid]);
    for dir in cgroup.record().paths.values() {
        assert_eq!(dir::pids(dir, false).unwrap(), [pid], "{}", dir.display());
    }
    let properties = BTreeMap::new();
    let again = Cgroup::create(
        &request(&name, &resources, &properties),
        &Layout::probe().unwrap(),
    );
    let error = again.unwrap_err().to_string();
    assert_eq!(
        error,
        "container's cgroup is not empty: 1 process(es) found"
    );
    assert_eq!(
        cgroup.pids().unwrap(),
        [pid],
        "a refused create removes nothing"
    );
    let text = serde_json::to_string(cgroup.record()).unwrap();
    let found = Cgroup::from_record(&serde_json::from_str(&text).unwrap());
    assert_eq!(found.pids().unwrap(), [pid]);
    end(&found, &mut child);
}

#[test]
fn limits_are_there() {
    let name = format!("keel-unit-{}-b", std::process::id());
    let mut resources = Resources::for_create(None).unwrap();
    resources.pids = Some(33);
    let layout = Layout::probe().unwrap();
    if layout.hierarchy("pids").is_none() {
        println!("skipped: no v1 pids controller here");
        return;
    }
    let Some((cgroup, mut child)) = occupied(&name, &resources) else {
        return;
    };
    assert_eq!(
        dir::read(cgroup.dir("pids").unwrap(), "pids.max").unwrap(),
        "33"
    );
    let devices = dir::read(cgroup.dir("devices").unwrap(), "devices.list").unwrap();
    assert!(
        devices.lines().any(|l| l == "c 1:3 rwm") && !devices.contains("a *:* rwm"),
        "{devices}"
    );
    end(&cgroup, &mut child);
}

fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

#[test]
fn frozen_thawed_and_killed() {
    let name = format!("keel-unit-{}-c", std::process::id());
    let Some((cgroup, mut child)) = occupied(&name, &Resources::default()) else {
        return;
    };
    assert!(!cgroup.frozen().unwrap());
    cgroup.freeze().unwrap();
    assert!(cgroup.frozen().unwrap());
    let pid = child.id() as i32;
    let properties = BTreeMap::new();
    let resources = Resources::default();
    let again = Cgroup::create(
        &request(&name, &resources, &properties),
        &Layout::probe().unwrap(),
    );
    assert!(again.is_err());
    cgroup.thaw().unwrap();
    assert!(!cgroup.frozen().unwrap());
    assert!("SR".contains(state(pid)));
    cgroup.freeze().unwrap();
    cgroup.kill_all(nix::libc::SIGKILL).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9)
    );
    cgroup.kill_all(nix::libc::SIGTERM).unwrap();
    cgroup.remove().unwrap();
    assert!(!cgroup.frozen().unwrap());
}

#[test]
fn counted() {
    let name = format!("keel-unit-{}-d", std::process::id());
    let Some((cgroup, mut child)) = occupied(&name, &Resources::default()) else {
        return;
    };
    let stats = cgroup.stats().unwrap();
    let layout = Layout::probe().unwrap();
    if layout.hierarchy("pids").is_some() {
        assert_eq!(stats.pids.current, 1);
        assert_eq!(cgroup.oom_kills().unwrap(), Some(0));
        assert!(!stats.memory.raw.is_empty());
        assert!(stats.cpuset.mems.contains(&0));
    }
    let text = serde_json::to_string(&stats).unwrap();
    assert!(
        text.starts_with("{\"cpu\":{\"usage\":{") && text.ends_with("\"network_interfaces\":null}"),
        "{text}"
    );
    end(&cgroup, &mut child);
}

/// The default filter on a real process: the memory devices open, the kernel's log does not.
#[test]
fn devices_are_filtered() {
    let name = format!("keel-unit-{}-e", std::process::id());
    let resources = Resources::for_create(None).unwrap();
    let Some((cgroup, mut sleeper)) = occupied(&name, &resources) else {
        return;
    };
    let script = "read go; (: </dev/zero) && echo zero; (: </dev/kmsg) || echo refused";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    cgroup.attach(shell.id() as i32).unwrap();
    // Twice, as update does it: the second filter takes the place of the first.
    cgroup.set(&resources).unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), b"\n").unwrap();
    let output = shell.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "zero\nrefused\n");
    end(&cgroup, &mut sleeper);
}

/// Huge pages where the machine has them in v2 beside v1, or in either alone.
#[test]
fn huge_pages_are_limited_in_every_layout() {
    let sizes = std::fs::read_dir("/sys/kernel/mm/hugepages").map(|dir| dir.count());
    let layout = Layout::probe().unwrap();
    let known = layout.hierarchy("hugetlb").is_some()
        || layout.hierarchy("").is_some_and(|h| {
            dir::read(&h.mountpoint, "cgroup.controllers")
                .is_ok_and(|c| c.split(' ').any(|c| c == "hugetlb"))
        });
    if !known || !sizes.is_ok_and(|n| n > 0) {
        println!("skipped: no hugetlb controller here");
        return;
    }
    let mut resources = Resources::default();
    resources
        .hugepages
        .push(crate::config::resources::Hugepage {
            size: "2MB".to_owned(),
            limit: 4 << 20,
        });
    let name = format!("keel-unit-{}-f", std::process::id());
    let Some((cgroup, mut child)) = occupied(&name, &resources) else {
        return;
    };
    let files = [
        ("hugetlb", "hugetlb.2MB.limit_in_bytes"),
        ("", "hugetlb.2MB.max"),
    ];
    let read = |(controller, file)| {
        cgroup
            .dir(controller)
            .and_then(|dir| dir::read(dir, file).ok())
    };
    let found: Vec<String> = files.into_iter().filter_map(read).collect();
    assert_eq!(found, ["4194304"]);
    end(&cgroup, &mut child);
}
