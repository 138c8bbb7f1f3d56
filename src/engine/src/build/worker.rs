//! What a build's steps need of the engine: base images, commands in containers of their own.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gantry_api::container::{Config, HostConfig};
use gantry_api::network::EndpointSettings;
use gantry_build::platform::Platform;
use gantry_build::solve::{BaseImage, Fetched, MountPoint, Stream, Worker};
use gantry_build::step::{Copy, Run};
use gantry_dockerfile::instruction::Network;
use serde_json::{Value, json};

use super::face::Face;
use super::{Wish, fetch};
use crate::Engine;
use crate::container::record::{Places, Record};
use crate::container::spec::{self, Surroundings};

/// How often a running step looks whether its client is still there.
const LOOK: Duration = Duration::from_millis(100);

/// The steps of one build.
pub struct Steps<'a> {
    /// The engine.
    pub engine: &'a Arc<Engine>,
    /// What is built.
    pub wish: &'a Wish,
    /// Who is told.
    pub face: &'a Face,
    /// The build's directory.
    pub place: &'a Path,
}

impl Worker for Steps<'_> {
    fn base(&self, reference: &str, platform: Option<&Platform>) -> Result<BaseImage, String> {
        let image = self
            .engine
            .build_base(reference, platform, self.wish.pull)
            .map_err(|error| error.message)?;
        Ok(BaseImage {
            config: (*image.config).clone(),
            chain: image.top().cloned(),
        })
    }

    fn run(
        &self,
        root: &Path,
        run: &Run,
        mounts: &[MountPoint],
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<i32, String> {
        let id = crate::container::names::id().map_err(|error| error.message)?;
        let bundle = self.place.join(format!("bundle-{}", &id[..12]));
        let wrong = |error: std::io::Error| format!("{}: {error}", bundle.display());
        std::fs::create_dir_all(&bundle).map_err(wrong)?;
        let status = self.run_in(root, run, mounts, &id, &bundle, output);
        if let Err(error) = self.engine.networks.detach(&id) {
            tracing::warn!("network of step {id}: {error}");
        }
        std::fs::remove_dir_all(&bundle).map_err(wrong)?;
        status
    }

    fn fetch(&self, source: &str, copy: &Copy) -> Result<Fetched, String> {
        fetch::fetch(self.place, source, copy)
    }

    fn cancelled(&self) -> bool {
        self.face.is_closed()
    }
}

impl Steps<'_> {
    fn run_in(
        &self,
        root: &Path,
        run: &Run,
        mounts: &[MountPoint],
        id: &str,
        bundle: &Path,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<i32, String> {
        let record = self.record(run, id)?;
        let places = Places {
            home: bundle.to_owned(),
            bundle: bundle.to_owned(),
        };
        let joined = self
            .engine
            .join_networks(&record, &places)
            .map_err(|error| error.message)?;
        let around = Surroundings {
            root: root.to_owned(),
            network: joined.namespace,
            mounts: step_mounts(mounts, bundle, record.host.shm_size),
            cgroup: self.engine.cgroup(&record),
            unified: self.engine.machine.unified,
            ..Surroundings::default()
        };
        let spec = spec::write(&record, &around).map_err(|error| error.message)?;
        let config = bundle.join("config.json");
        std::fs::write(&config, spec.to_string())
            .map_err(|error| format!("{}: {error}", config.display()))?;
        let command = self
            .engine
            .runtime_command("")
            .map_err(|error| error.message)?;
        let child = Command::new(&command[0])
            .args(&command[1..])
            .args(["run", "--bundle"])
            .arg(bundle)
            .arg(id)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", command[0]))?;
        self.watch(child, &command, id, output)
    }

    /// The container of a step: docker's defaults, the step's command, user, directory, environment and network.
    fn record(&self, run: &Run, id: &str) -> Result<Record, String> {
        let network = match (run.network, self.wish.network.as_str()) {
            (Network::None, _) => "none",
            (Network::Host, _) => "host",
            (Network::Default, "" | "default") => "bridge",
            (Network::Default, given) => given,
        };
        let (program, arguments) = run.words.split_first().ok_or("RUN has no command")?;
        let mut env = run.env.clone();
        env.extend(
            run.proxies
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        let host = HostConfig {
            network_mode: network.into(),
            extra_hosts: Some(self.wish.extra_hosts.clone()),
            privileged: run.insecure,
            masked_paths: (!run.insecure).then(|| spec::MASKED.map(str::to_owned).to_vec()),
            readonly_paths: (!run.insecure).then(|| spec::READ_ONLY.map(str::to_owned).to_vec()),
            cgroupns_mode: if self.engine.machine.unified {
                "private"
            } else {
                "host"
            }
            .into(),
            ..self.wish.limits.clone()
        };
        let config = Config {
            hostname: "buildkitsandbox".into(),
            env: Some(env),
            user: run.user.clone(),
            working_dir: run.directory.clone(),
            ..Config::default()
        };
        let plugged = !matches!(network, "none" | "host");
        let endpoints = plugged.then(|| (network.to_owned(), EndpointSettings::default()));
        Ok(Record {
            id: id.to_owned(),
            name: format!("/build-{}", &id[..12]),
            path: program.clone(),
            args: arguments.to_vec(),
            config,
            host,
            endpoints: endpoints.into_iter().collect(),
            ..Record::default()
        })
    }

    /// Passes on what the step writes until it ends; a client that leaves ends it.
    fn watch(
        &self,
        mut child: Child,
        command: &[String],
        id: &str,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<i32, String> {
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let status = std::thread::scope(|scope| {
            if let Some(out) = out {
                scope.spawn(move || pass(out, Stream::Out, output));
            }
            if let Some(err) = err {
                scope.spawn(move || pass(err, Stream::Err, output));
            }
            loop {
                match child.try_wait() {
                    Ok(None) if self.face.is_closed() => {
                        self.end(command, id);
                        return child.wait();
                    }
                    Ok(None) => std::thread::sleep(LOOK),
                    Ok(Some(status)) => return Ok(status),
                    Err(error) => return Err(error),
                }
            }
        });
        let status = status.map_err(|error| format!("{}: {error}", command[0]))?;
        if self.face.is_closed() {
            return Err("build cancelled".to_owned());
        }
        Ok(status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    fn end(&self, command: &[String], id: &str) {
        let done = Command::new(&command[0])
            .args(&command[1..])
            .args(["delete", "--force", id])
            .output();
        match done {
            Ok(output) if output.status.success() => {}
            Ok(output) => tracing::warn!(
                "step {id}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ),
            Err(error) => tracing::warn!("step {id}: {error}"),
        }
    }
}

/// The step's own mounts, and the name service files every container gets.
fn step_mounts(points: &[MountPoint], home: &Path, shm_size: i64) -> Vec<Value> {
    let bind = |source: &Path, target: &str, read_only: bool| {
        let mode = if read_only { "ro" } else { "rw" };
        json!({"destination": target, "type": "bind", "source": source, "options": ["rbind", "rprivate", mode]})
    };
    let mut all: Vec<Value> = ["hosts", "resolv.conf", "hostname"]
        .into_iter()
        .filter(|name| home.join(name).exists())
        .map(|name| bind(&home.join(name), &format!("/etc/{name}"), true))
        .collect();
    let size = if shm_size > 0 {
        format!("size={shm_size}")
    } else {
        "size=65536k".to_owned()
    };
    all.push(
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                    "options": ["nosuid", "noexec", "nodev", "mode=1777", size]}),
    );
    all.extend(points.iter().map(|point| match point {
        MountPoint::Bind {
            source,
            target,
            read_only,
        } => bind(source, target, *read_only),
        MountPoint::Tmpfs { target, size } => {
            let mut options = vec![
                "nosuid".to_owned(),
                "nodev".to_owned(),
                "mode=1777".to_owned(),
            ];
            options.extend(size.map(|bytes| format!("size={bytes}")));
            json!({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options})
        }
    }));
    all
}

fn pass(mut from: impl Read, stream: Stream, output: &(dyn Fn(Stream, &[u8]) + Sync)) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            return;
        }
        output(stream, &buffer[..count]);
    }
}

impl Engine {
    /// An image for FROM or `--from`: the one that is here, or (`always`, or where none is) the registry's.
    ///
    /// # Errors
    /// docker's texts of a failed pull, or that the image is for another platform.
    pub fn build_base(
        &self,
        reference: &str,
        platform: Option<&Platform>,
        always: bool,
    ) -> crate::error::Result<gantry_store::Image> {
        let here = self.store.resolve(reference);
        let image = match here {
            Ok(image) if !always => image,
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => self.pull_for_build(reference, platform)?,
        };
        let (config, wanted) = (
            &image.config,
            platform.filter(|wanted| **wanted != Platform::host()),
        );
        if let Some(wanted) = wanted
            .filter(|wanted| wanted.architecture != config.architecture || wanted.os != config.os)
        {
            return Err(crate::error::Error::invalid(format!(
                "image {reference} is for {}/{}, not for {wanted}",
                config.os, config.architecture
            )));
        }
        Ok(image)
    }

    fn pull_for_build(
        &self,
        reference: &str,
        platform: Option<&Platform>,
    ) -> crate::error::Result<gantry_store::Image> {
        let reference = gantry_registry::Reference::parse(reference)?.with_default_tag();
        let options = gantry_registry::PullOptions {
            platform: platform.map(|platform| gantry_registry::Platform {
                architecture: platform.architecture.clone(),
                os: platform.os.clone(),
                variant: platform.variant.clone(),
            }),
            credentials: gantry_registry::Credentials::default(),
        };
        let settings = self.registry_settings();
        let cancel = std::sync::atomic::AtomicBool::new(false);
        let observer = gantry_registry::Observer::new(&|_| (), &cancel);
        let pulled = gantry_registry::pull(&self.store, &settings, &reference, &options, observer);
        pulled.map_err(|error| crate::error::Error::not_found(error.to_string()))
    }
}
