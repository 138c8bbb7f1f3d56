//! Networks and volumes of the engine, driven by the real docker command. Seed rows C7 to C13, C35, E1 to E3 and F1 to F6 of the
//! engine contract. The engine runs in network and mount namespaces of its own: the machine's links and rules are not touched.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use integration::{binary, skip};

const APPLETS: [&str; 14] = [
    "sh", "ip", "cat", "ls", "nslookup", "ping", "nc", "sleep", "hostname", "mount", "touch",
    "true", "grep", "echo",
];

/// An engine with an image `bb` (busybox), gone with everything it made when dropped.
struct Engine {
    place: PathBuf,
    child: Child,
}

impl Engine {
    /// Starts one, or says why it cannot be.
    fn start(test: &str) -> Option<Self> {
        for (what, there) in [
            ("root", nix::unistd::geteuid().is_root()),
            ("the docker command", found("docker")),
            ("busybox", Path::new("/bin/busybox").exists()),
            (
                "unshare, nsenter and ip",
                found("unshare") && found("nsenter") && found("ip"),
            ),
            (
                "gantryd and gantry-monitor",
                binary("gantryd").exists() && binary("gantry-monitor").exists(),
            ),
            ("keel or runc", binary("keel").exists() || found("runc")),
        ] {
            if !there {
                skip(test, what);
                return None;
            }
        }
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place =
            std::env::temp_dir().join(format!("gantry-network-{}-{number}", std::process::id()));
        fs::create_dir(&place).expect("place");
        let child = launch(&place);
        let engine = Self { place, child };
        engine.wait();
        engine.import();
        Some(engine)
    }

    fn wait(&self) {
        let start = Instant::now();
        while UnixStream::connect(self.place.join("sock")).is_err() {
            let log = || fs::read_to_string(self.place.join("log")).unwrap_or_default();
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "engine does not listen: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn import(&self) {
        let tree = self.place.join("tree");
        fs::create_dir_all(tree.join("bin")).expect("tree");
        fs::copy("/bin/busybox", tree.join("bin/busybox")).expect("busybox");
        for applet in APPLETS {
            std::os::unix::fs::symlink("busybox", tree.join("bin").join(applet)).expect("applet");
        }
        let tar = self.place.join("tree.tar");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(&tree)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status()
            .expect("tar");
        assert!(packed.success());
        self.good(&format!("import {} bb", tar.display()));
    }

    /// Runs a docker command line: words apart by blanks, blanks within single quotes.
    fn docker(&self, line: &str) -> Output {
        let socket = format!("unix://{}", self.place.join("sock").display());
        let mut command = Command::new("docker");
        command.arg("-H").arg(socket);
        for (at, part) in line.split('\'').enumerate() {
            if at % 2 == 1 {
                command.arg(part);
            } else {
                command.args(part.split_whitespace());
            }
        }
        command.stdin(Stdio::null()).output().expect("docker")
    }

    /// Output of a command that must succeed.
    fn good(&self, line: &str) -> String {
        let out = self.docker(line);
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "docker {line}: {error}");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// The error of a command that must fail.
    fn bad(&self, line: &str) -> String {
        let out = self.docker(line);
        assert!(!out.status.success(), "docker {line} succeeded");
        String::from_utf8_lossy(&out.stderr).into_owned()
    }

    /// Runs a command in the engine's network and mount namespaces.
    fn inside(&self, line: &str) -> String {
        let pid = self.child.id().to_string();
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &pid, "-n", "-m"])
            .args(line.split_whitespace());
        let out = command.stdin(Stdio::null()).output().expect("nsenter");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// What the listener at a host's address says, asked until it has started.
    fn hear(&self, address: &str, port: &str) -> String {
        let start = Instant::now();
        loop {
            let heard = self.inside(&format!("busybox nc -w 1 {address} {port}"));
            if !heard.is_empty() || start.elapsed() > Duration::from_secs(3) {
                return heard;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the engine and starts another in the same place and namespaces.
    fn replace(&mut self) {
        let pid = self.child.id();
        let namespaces = ["net", "mnt"]
            .map(|kind| fs::File::open(format!("/proc/{pid}/ns/{kind}")).expect("namespace"));
        let paths = namespaces.each_ref().map(|file| {
            format!(
                "/proc/{}/fd/{}",
                std::process::id(),
                std::os::fd::AsRawFd::as_raw_fd(file)
            )
        });
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", paths[0]))
            .arg(format!("--mount={}", paths[1]));
        self.child = engine(command, &self.place);
        self.wait();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let ids = self.docker("ps -aq").stdout;
        let ids = String::from_utf8_lossy(&ids).replace('\n', " ");
        if !ids.is_empty() {
            self.docker(&format!("rm -fv {ids}"));
        }
        if let Ok(mut server) = UnixStream::connect(self.place.join("run/network.sock")) {
            server
                .write_all(b"{\"ask\":\"leave\"}\n")
                .expect("the network server is told to leave");
        }
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
        fs::remove_dir_all(&self.place).expect("place removed");
    }
}

fn launch(place: &Path) -> Child {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--propagation", "private"]);
    let script = "ip link set lo up; ip link add up0 type veth peer name up1; ip addr add 192.0.2.2/24 dev up0; \
                  ip link set up0 up; exec \"$@\"";
    command.args(["sh", "-c", script, "sh"]);
    engine(command, place)
}

fn engine(mut command: Command, place: &Path) -> Child {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(place.join("log"))
        .expect("log");
    let runtime = if binary("keel").exists() {
        format!("keel={}", binary("keel").display())
    } else {
        String::new()
    };
    command
        .arg(binary("gantryd"))
        .arg("-H")
        .arg(format!("unix://{}", place.join("sock").display()));
    command
        .arg("--data-root")
        .arg(place.join("data"))
        .arg("--exec-root")
        .arg(place.join("run"));
    command.arg("--monitor").arg(binary("gantry-monitor"));
    if !runtime.is_empty() {
        command.args(["--add-runtime", &runtime]);
    }
    let name = std::env::var("RUNTIME_UNDER_ENGINE")
        .unwrap_or_else(|_| if runtime.is_empty() { "runc" } else { "keel" }.into());
    command
        .args(["--default-runtime", &name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().expect("engine")
}

fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

/// A listener that says hello to everybody.
const LISTEN: &str = "bb sh -c 'exec nc -ll -p 80 -e echo hello'";

#[track_caller]
fn holds(text: &str, part: &str) {
    assert!(text.contains(part), "missing {part:?} in:\n{text}");
}

#[test]
fn c7_to_c12_c35_published_ports() {
    let Some(engine) = Engine::start("c7_to_c12_c35_published_ports") else {
        return;
    };
    let ports = "-p 127.0.0.1:8081:80 -p 127.0.0.1::80 -p 8083:80 -p 80 -p 8090-8091:90-91/udp";
    engine.good(&format!(
        "run -d --name web {ports} --expose 99 -P {LISTEN}"
    ));
    let list = engine.good("port web");
    holds(&list, "80/tcp -> 127.0.0.1:8081\n");
    holds(&list, "80/tcp -> 0.0.0.0:8083\n");
    holds(&list, "80/tcp -> [::]:8083\n");
    holds(&list, "90/udp -> 0.0.0.0:8090\n");
    holds(&list, "91/udp -> [::]:8091\n");
    holds(&list, "99/tcp -> 0.0.0.0:");
    assert_eq!(engine.hear("127.0.0.1", "8081"), "hello");
    assert_eq!(engine.hear("127.0.0.1", "8083"), "hello");
    assert_eq!(engine.hear("::1", "8083"), "hello");
    assert_eq!(engine.hear("192.0.2.2", "8083"), "hello");
    let random = list.lines().find_map(|line| {
        let port = line.strip_prefix("80/tcp -> 127.0.0.1:")?;
        (port != "8081").then_some(port)
    });
    assert_eq!(engine.hear("127.0.0.1", random.expect("port")), "hello");
    let loopback_only = engine.inside("busybox nc -w 1 192.0.2.2 8081");
    assert_eq!(loopback_only, "");
    let error = engine.bad("run --rm -p 8083:80 bb true");
    holds(
        &error,
        "Bind for 0.0.0.0:8083 failed: port is already allocated",
    );
    engine.good("rm -f web");
    assert_eq!(engine.inside("busybox nc -w 1 127.0.0.1 8083"), "");
}

#[test]
fn a6_networks_are_apart_but_for_published_ports() {
    let Some(engine) = Engine::start("a6_networks_are_apart_but_for_published_ports") else {
        return;
    };
    engine.good(&format!("run -d --name web -p 8083:80 {LISTEN}"));
    assert_eq!(engine.hear("192.0.2.2", "8083"), "hello");
    engine.good("network create other");
    let through = engine.good("run --rm --network other bb nc 192.0.2.2 8083");
    assert_eq!(through, "hello");
    let hairpin = engine.good("exec web nc 192.0.2.2 8083");
    assert_eq!(hairpin, "hello");
    engine.bad("run --rm --network other bb nc -w 1 172.17.0.2 80");
    engine.good("network create --internal inner");
    engine.bad("run --rm --network inner bb nc -w 1 192.0.2.2 8083");
}

#[test]
fn c13_e1_to_e3_names_and_addresses() {
    let Some(engine) = Engine::start("c13_e1_to_e3_names_and_addresses") else {
        return;
    };
    engine.good("network create --subnet 10.99.0.0/24 n1");
    engine.good("run -d --name db --network n1 --ip 10.99.0.9 --network-alias store bb sleep 100");
    for name in ["db", "store", "store.n1", "DB"] {
        let line = format!("run --rm --network n1 bb nslookup -type=A {name}");
        holds(&engine.good(&line), "Address: 10.99.0.9");
    }
    let linked = engine.good("run --rm --network n1 --link db:aka bb ping -c1 aka");
    holds(&linked, "1 packets received");
    holds(
        &engine.bad("network rm n1"),
        "network n1 has active endpoints (name:\"db\"",
    );
    // On the default bridge a link is a line of the hosts file.
    engine.good("run -d --name old bb sleep 100");
    let hosts = engine.good("run --rm --link old:aka bb cat /etc/hosts");
    holds(&hosts, "172.17.0.2\taka ");
    holds(&hosts, " old\n");
    let shared = engine.good("run --rm --network container:old bb ip addr");
    holds(&shared, "172.17.0.2/16");
    let none = engine.good("run --rm --network none bb ip -o link");
    assert_eq!(none.lines().count(), 1, "{none}");
    holds(&engine.good("run --rm --network host bb ip -o link"), "up0");
}

#[test]
fn networks_come_and_go_while_a_container_runs() {
    let Some(engine) = Engine::start("networks_come_and_go_while_a_container_runs") else {
        return;
    };
    engine.good("network create --ipv6 six");
    engine.good("run -d --name one bb sleep 100");
    engine.good("network connect --alias late six one");
    holds(&engine.good("exec one ip -o link"), "eth1@");
    let answer = engine.good("run --rm --network six bb ping -6 -c1 late");
    holds(&answer, "1 packets received");
    let hosts = engine.good("exec one cat /etc/hosts");
    holds(&hosts, "172.18.0.2\t");
    engine.good("network disconnect six one");
    assert!(!engine.good("exec one ip -o link").contains("eth1@"));
    engine.good("rm -f one");
    engine.good("network rm six");
    let left = engine.inside("ip -o link");
    assert!(!left.contains("veth") && !left.contains("br-"), "{left}");
}

#[test]
fn killed_engine_is_not_felt() {
    let Some(mut engine) = Engine::start("killed_engine_is_not_felt") else {
        return;
    };
    engine.good("network create n1");
    engine.good(&format!(
        "run -d --name web --network n1 -p 8080:80 {LISTEN}"
    ));
    engine.good("run -d --name other --network n1 bb sleep 100");
    assert_eq!(engine.hear("127.0.0.1", "8080"), "hello");
    engine.replace();
    assert_eq!(engine.hear("127.0.0.1", "8080"), "hello");
    assert_eq!(engine.hear("192.0.2.2", "8080"), "hello");
    let old = engine.good("exec other nslookup -type=A web");
    holds(&old, "Address: 172.18.0.2");
    let new = engine.good("run --rm --network n1 bb nslookup -type=A web");
    holds(&new, "Address: 172.18.0.2");
    engine.good("rm -f web other");
    let records = fs::read_dir(engine.place.join("run/network")).expect("records");
    assert_eq!(records.count(), 0, "something is left of the containers");
    assert!(!engine.inside("ip -o link").contains("veth"));
}

#[test]
fn flushed_rules_and_a_killed_server_come_back() {
    let name = "flushed_rules_and_a_killed_server_come_back";
    let Some(engine) = Engine::start(name) else {
        return;
    };
    if !found("nft") {
        return skip(name, "the nft command");
    }
    engine.good("network create n1");
    engine.good(&format!(
        "run -d --name web --network n1 -p 8080:80 {LISTEN}"
    ));
    assert_eq!(engine.hear("192.0.2.2", "8080"), "hello");
    engine.inside("nft flush ruleset");
    assert_eq!(engine.hear("192.0.2.2", "8080"), "hello");
    std::thread::sleep(Duration::from_millis(200));
    holds(
        &engine.inside("nft list ruleset"),
        "tcp . 8080 : 172.18.0.2 . 80",
    );
    let mut server = UnixStream::connect(engine.place.join("run/network.sock")).expect("server");
    server
        .write_all(b"{\"ask\":\"leave\"}\n")
        .expect("told to leave");
    std::thread::sleep(Duration::from_millis(2500));
    let found = engine.good("exec web nslookup -type=A web");
    holds(&found, "Address: 172.18.0.2");
    assert_eq!(engine.hear("127.0.0.1", "8080"), "hello");
}

#[test]
fn f1_to_f6_volumes() {
    let Some(engine) = Engine::start("f1_to_f6_volumes") else {
        return;
    };
    engine.good("run --rm -v data:/x bb touch /x/kept");
    let place = engine.good("volume inspect data --format {{.Mountpoint}}");
    assert!(place.ends_with("/volumes/data/_data"), "{place}");
    assert!(Path::new(&place).join("kept").exists());
    holds(&engine.good("run --rm -v bin:/bin bb ls /bin"), "busybox");
    let bound = engine.place.join("new/dir");
    engine.good(&format!(
        "run --rm -v {}:/b bb touch /b/file",
        bound.display()
    ));
    assert!(bound.join("file").exists(), "-v makes a missing directory");
    let missing = engine.place.join("missing").display().to_string();
    let error = engine.bad(&format!(
        "run --rm --mount type=bind,src={missing},dst=/b bb true"
    ));
    holds(
        &error,
        &format!("bind source path does not exist: {missing}"),
    );
    let mounts = engine.good("run --rm --tmpfs /t --mount type=tmpfs,dst=/u bb mount");
    holds(&mounts, "tmpfs on /t type tmpfs");
    holds(&mounts, "tmpfs on /u type tmpfs");
    engine.good("run --name keeper -v data:/x -v /anonymous bb true");
    let seen = engine.good("run --rm --volumes-from keeper:ro bb ls /x");
    assert_eq!(seen, "kept");
    holds(
        &engine.bad("volume rm data"),
        "remove data: volume is in use - [",
    );
    assert_eq!(engine.good("volume ls -q").lines().count(), 3);
    engine.good("rm -v keeper");
    assert_eq!(engine.good("volume ls -q"), "bin\ndata");
}

#[test]
fn volume_options_and_prune() {
    let Some(engine) = Engine::start("volume_options_and_prune") else {
        return;
    };
    engine.good("volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=1m mem");
    engine.good("volume create plain");
    holds(
        &engine.good("run --rm -v mem:/m bb mount"),
        "tmpfs on /m type tmpfs",
    );
    engine.good("volume prune -f");
    assert_eq!(
        engine.good("volume ls -q"),
        "mem\nplain",
        "named ones are spared"
    );
    engine.good("volume prune -af");
    assert_eq!(
        engine.good("volume ls -q"),
        "mem",
        "one with options is spared"
    );
    engine.good("volume rm mem");
    holds(&engine.bad("volume rm mem"), "get mem: no such volume");
}
