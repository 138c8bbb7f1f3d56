//! A container goes to disk and comes back, by the CRIU of Debian sid: the one of Debian 12 does not know this kernel. The
//! tree of sid is mounted in a mount namespace of the test's own and nothing is written to it.

use std::path::PathBuf;
use std::process::Command;

use integration::{binary, skip};

/// The script inside: a counter lives on in `/dev/shm`, a bind mount keeps its source, the foreground gets the status.
const SCRIPT: &str = r#"
set -e
cd /tmp/stage
keel="./keel --root root"
lock="--network-lock skip"
fail() { echo "$1"; cat ck/dump.log ck/restore.log 2>/dev/null | grep Error; $keel delete -f c >/dev/null 2>&1; exit 1; }
$keel run -d -b b c </dev/null >/dev/null 2>&1 || fail run
sleep 0.5
$keel checkpoint --image-path ck --leave-running $lock c || fail "checkpoint --leave-running"
[ "$($keel list -q)" = c ] || fail "it should run on"
$keel pause c
$keel checkpoint --image-path ck $lock c || fail "checkpoint while paused"
[ -z "$($keel list -q)" ] || fail "it should be gone"
$keel restore -d -b b --image-path ck --pid-file pid $lock c </dev/null >/dev/null 2>err || fail "restore: $(cat err)"
$keel state c | grep -q '"status": "running"' || fail "it should run"
$keel state c | grep -q "\"pid\": $(cat pid)," || fail "pid file and state differ"
before=$($keel exec c /bin/busybox cat /dev/shm/count)
sleep 0.5
after=$($keel exec c /bin/busybox cat /dev/shm/count)
[ "$before" -ge 3 ] && [ "$after" -gt "$before" ] || fail "counter $before $after"
[ "$($keel exec c /bin/busybox cat /vol/f)" = data ] || fail "bind mount"
$keel kill c KILL; sleep 0.3; $keel delete c
(sleep 1; $keel kill c KILL) &
status=0; $keel restore -b b --image-path ck $lock c </dev/null || status=$?
[ $status = 137 ] || fail "status $status"
sed 's,"/vol","/etc",' b/config.json > b/changed.json; mkdir other; mv b/changed.json other/config.json
message=$($keel restore -b other --image-path ck c 2>&1) && fail "a changed configuration"
case $message in *"mounts["*"is not the bind mount"*) ;; *) fail "$message" ;; esac
[ -z "$($keel list -q)" ] || fail "left behind"
! grep -q criu-root /proc/self/mountinfo || fail "a mount was left"
echo all well
"#;

/// Mounts sid's tree as the root of this mount namespace, the work directory in it.
const STAGE: &str = r#"
set -e
tree=$1 work=$2
mount --rbind "$tree" "$work/root"; mount --make-rprivate "$work/root"; cd "$work/root"
for d in proc sys dev; do mount --rbind /$d $d; done
for d in run tmp mnt; do mount -t tmpfs tmpfs $d; done
mkdir mnt/old tmp/stage; mount --bind "$work" tmp/stage
pivot_root . mnt/old; cd /
exec /bin/sh /tmp/stage/script
"#;

#[test]
fn a_container_goes_to_disk_and_comes_back() {
    let test = "a_container_goes_to_disk_and_comes_back";
    let cache = std::env::var_os("KEEL_CACHE")
        .map_or_else(|| PathBuf::from("/var/cache/keel"), PathBuf::from);
    let tree = cache.join("trees/runtimes-sid");
    if !tree.join("usr/sbin/criu").is_file()
        || !binary("keel").is_file()
        || !nix::unistd::geteuid().is_root()
    {
        return skip(
            test,
            "needs root, a built keel, and Debian sid's tree with criu",
        );
    }
    let work = std::env::temp_dir().join(format!("keel-checkpoint-{}", std::process::id()));
    for directory in [
        "root",
        "vol",
        "b/rootfs/bin",
        "b/rootfs/proc",
        "b/rootfs/dev",
        "b/rootfs/vol",
    ] {
        std::fs::create_dir_all(work.join(directory)).unwrap();
    }
    std::fs::copy(binary("keel"), work.join("keel")).unwrap();
    std::fs::copy("/bin/busybox", work.join("b/rootfs/bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", work.join("b/rootfs/bin/sh")).unwrap();
    std::fs::write(work.join("vol/f"), "data\n").unwrap();
    std::fs::write(work.join("script"), SCRIPT).unwrap();
    let count = "i=0; while :; do i=$((i+1)); echo $i > /dev/shm/count; busybox sleep 0.1; done";
    let config = serde_json::json!({
        "ociVersion": "1.3.0",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", count], "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": "/tmp/stage/b/rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"},
            {"destination": "/vol", "type": "bind", "source": "/tmp/stage/vol", "options": ["bind"]},
        ],
        "linux": {
            "cgroupsPath": format!("/keel-checkpoint-{}", std::process::id()),
            "maskedPaths": ["/proc/keys"],
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}],
        },
    });
    std::fs::write(work.join("b/config.json"), config.to_string()).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", STAGE, "sh"])
        .arg(&tree)
        .arg(&work);
    let output = command.output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::remove_dir_all(&work).unwrap();
    assert!(said.contains("all well"), "{said}");
}
