//! Images in and out of an engine under the real docker command: registries, archives, and an engine killed on the way.
//! The registry is Debian's docker-registry on a loopback port.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration::engine::Engine;

/// A registry; gone when dropped.
struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    /// Starts one below the engine's directory, open or for `user` with the password `secret`.
    fn start(test: &str, root: &Path, guarded: bool) -> Result<Option<Self>> {
        let program = "/usr/bin/docker-registry";
        if !Path::new(program).exists() {
            integration::skip(test, program);
            return Ok(None);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (host, at) = (format!("127.0.0.1:{port}"), root.display());
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {at}/registry}}}}\nhttp: {{addr: \"{host}\"}}\n"
        );
        if guarded {
            let line = Command::new("htpasswd")
                .args(["-Bbn", "user", "secret"])
                .output();
            let Ok(line) = line else {
                integration::skip(test, "htpasswd");
                return Ok(None);
            };
            fs::write(root.join("htpasswd"), line.stdout)?;
            config.push_str(&format!(
                "auth: {{htpasswd: {{realm: test, path: {at}/htpasswd}}}}\n"
            ));
        }
        fs::write(root.join("registry.yml"), config)?;
        let process = Command::new(program)
            .arg("serve")
            .arg(root.join("registry.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let registry = Self { process, host };
        let begun = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            ensure!(
                begun.elapsed() < Duration::from_secs(20),
                "docker-registry does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(registry))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("docker-registry: {error}");
        }
    }
}

/// What the store's check finds: docker's JSON of `POST /system/check`.
fn findings(engine: &Engine) -> Result<String> {
    let request =
        "POST /system/check HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let answer = engine.http(request)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    ensure!(head.contains(" 200 "), "{answer}");
    Ok(body.to_owned())
}

#[test]
fn c49_c50_pull_and_push() -> Result<()> {
    let Some(engine) = Engine::start("pull-and-push")? else {
        return Ok(());
    };
    let Some(registry) = Registry::start("pull-and-push", &engine.root, false)? else {
        return Ok(());
    };
    let name = format!("{}/team/bb:one", registry.host);
    engine.ok(&["tag", "bb", &name])?;
    let said = engine.ok(&["push", &name])?;
    let lines: Vec<&str> = said.lines().collect();
    ensure!(
        lines[0] == format!("The push refers to repository [{}/team/bb]", registry.host),
        "{said}"
    );
    ensure!(
        lines[1].ends_with(": Preparing") && lines[2].ends_with(": Pushed"),
        "{said}"
    );
    ensure!(
        lines[3].starts_with("one: digest: sha256:") && lines.len() == 4,
        "{said}"
    );
    ensure!(
        engine
            .ok(&["push", &name])?
            .contains("Layer already exists")
    );
    engine.ok(&["rmi", &name, "bb"])?;
    let ran = engine.run(&["run", "--rm", "--network", "none", &name, "echo", "here"])?;
    ensure!((ran.code, ran.out.as_str()) == (0, "here\n"), "{ran:?}");
    let words = [
        &format!("Unable to find image '{name}' locally"),
        "one: Pulling from team/bb",
        "Pulling fs layer",
        "Verifying Checksum",
        "Download complete",
        "Pull complete",
        "Digest: sha256:",
        &format!("Status: Downloaded newer image for {name}"),
    ];
    let mut rest = ran.err.as_str();
    for word in words {
        rest = rest
            .split_once(word)
            .with_context(|| format!("{word:?} in {:?}", ran.err))?
            .1;
    }
    let again = engine.ok(&["pull", &name])?;
    ensure!(
        again.ends_with(&format!("Status: Image is up to date for {name}\n{name}")),
        "{again}"
    );
    let missing = format!("{}/team/bb:two", registry.host);
    let refused = engine.run(&["pull", &missing])?;
    let text = format!(
        "Error response from daemon: manifest for {missing} not found: manifest unknown: manifest unknown\n"
    );
    ensure!((refused.code, refused.err) == (1, text));
    Ok(())
}

#[test]
fn c51_login_and_logout() -> Result<()> {
    let Some(engine) = Engine::start("login")? else {
        return Ok(());
    };
    let Some(registry) = Registry::start("login", &engine.root, true)? else {
        return Ok(());
    };
    let name = format!("{}/bb", registry.host);
    engine.ok(&["tag", "bb", &name])?;
    let refused = engine.run(&["push", &name])?;
    ensure!(
        refused.code == 1 && refused.err.contains("no basic auth credentials"),
        "{refused:?}"
    );
    let login =
        |password: &str| engine.run(&["login", "-u", "user", "-p", password, &registry.host]);
    let wrong = login("wrong")?;
    ensure!(
        wrong.code == 1 && wrong.err.contains("failed with status: 401 Unauthorized"),
        "{wrong:?}"
    );
    let right = login("secret")?;
    ensure!(
        right.code == 0 && right.out.contains("Login Succeeded"),
        "{right:?}"
    );
    engine.ok(&["push", &name])?;
    engine.ok(&["rmi", &name])?;
    engine.ok(&["pull", &name])?;
    engine.ok(&["logout", &registry.host])?;
    let refused = engine.run(&["pull", &name])?;
    ensure!(
        refused.code == 1 && refused.err.contains("no basic auth credentials"),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn c39_c40_save_and_load() -> Result<()> {
    let Some(engine) = Engine::start("save-and-load")? else {
        return Ok(());
    };
    let id = engine.ok(&["images", "-q", "--no-trunc", "bb"])?;
    let file = engine.root.join("saved.tar");
    let file = file.to_str().context("a path")?;
    engine.ok(&["save", "-o", file, "bb"])?;
    engine.ok(&["rmi", "bb"])?;
    ensure!(engine.ok(&["load", "-i", file])? == "Loaded image: bb:latest");
    ensure!(engine.ok(&["images", "-q", "--no-trunc", "bb"])? == id);
    ensure!(Command::new("gzip").arg(file).status()?.success());
    ensure!(engine.ok(&["load", "-q", "-i", &format!("{file}.gz")])? == "Loaded image: bb:latest");
    Ok(())
}

/// At whatever moment the engine dies, the next pull brings the image and nothing is damaged.
#[test]
fn an_engine_killed_in_a_pull_resumes() -> Result<()> {
    let Some(mut engine) = Engine::start("killed-pull")? else {
        return Ok(());
    };
    let Some(registry) = Registry::start("killed-pull", &engine.root, false)? else {
        return Ok(());
    };
    let mut noise = vec![0; 6_000_000];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut noise)?;
    fs::write(engine.root.join("tree/noise"), noise)?;
    let tar = engine.root.join("big.tar");
    ensure!(
        Command::new("tar")
            .arg("-C")
            .arg(engine.root.join("tree"))
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status()?
            .success()
    );
    let name = format!("{}/big", registry.host);
    let id = engine.ok(&["import", tar.to_str().context("a path")?, &name])?;
    engine.ok(&["push", &name])?;
    for round in 0..8 {
        engine.ok(&["rmi", &name])?;
        let mut pull = engine
            .docker(&["pull", &name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(40 + round * 45));
        engine.crash()?;
        pull.wait()?;
        engine.ok(&["pull", &name])?;
        ensure!(engine.ok(&["images", "-q", "--no-trunc", &name])? == id);
    }
    let found = findings(&engine)?;
    ensure!(
        !found.contains("layer sha256") && !found.contains("image sha256"),
        "{found}"
    );
    engine.ok(&["run", "--rm", "--network", "none", &name, "true"])?;
    Ok(())
}
