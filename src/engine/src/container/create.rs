//! `POST /containers/create`: checks, defaults, the writable layer, the record. Nothing is left behind when it fails.

use std::sync::Arc;

use gantry_api::container::create::{CreateRequest, CreateResponse};
use gantry_api::container::{Config, HostConfig};
use gantry_api::network::EndpointSettings;
use gantry_store::rw::Base;

use super::record::{Places, Record};
use super::{Container, limits, merge, mounts, names, spec};
use crate::Engine;
use crate::clock;
use crate::error::{Error, Result};

/// docker's default for `--shm-size`, bytes.
const SHM_SIZE: i64 = 64 << 20;

impl Engine {
    /// The directories of a container.
    #[must_use]
    pub fn places(&self, id: &str) -> Places {
        Places {
            home: self.options.data_root.join("containers").join(id),
            bundle: self.options.exec_root.join("containers").join(id),
        }
    }

    /// Makes a container. Blocking.
    ///
    /// # Errors
    /// docker's refusals; not found for the image.
    pub fn create_container(&self, name: &str, request: CreateRequest) -> Result<CreateResponse> {
        let CreateRequest {
            mut config,
            host_config: mut host,
            networking_config,
        } = request;
        if config.image.is_empty() {
            return Err(Error::invalid(
                "config cannot be empty in order to create a container",
            ));
        }
        let image = self.store.resolve(&config.image)?;
        merge::merge(
            &mut config,
            &merge::image_config(image.config.config.as_ref())?,
        );
        let warnings = self.settle(&mut config, &mut host)?;
        let id = names::id()?;
        if config.hostname.is_empty() && host.uts_mode != "host" {
            config.hostname = if host.network_mode == "host" {
                own_hostname()
            } else {
                id[..12].to_owned()
            };
        }
        let words: Vec<String> = config
            .entrypoint
            .iter()
            .flatten()
            .chain(config.cmd.iter().flatten())
            .cloned()
            .collect();
        let (path, args) = words
            .split_first()
            .ok_or_else(|| Error::invalid("no command specified"))?;
        let endpoints = endpoints(networking_config, &host);
        let mut record = Record {
            id: id.clone(),
            created: clock::now(),
            path: path.clone(),
            args: args.to_vec(),
            image: image.id.to_string(),
            mounts: mounts::plan(self, &config, &host)?,
            config,
            host,
            endpoints,
            ..Record::default()
        };
        crate::network::wish::complete(&mut record, &|name| self.networks.find(name).ok())?;
        record.name = format!("/{}", self.reserve_name(name, &id)?);
        let made = self.make_volumes(&mut record);
        if let Err(error) = made.and_then(|()| self.make(&record, &image.id)) {
            self.containers.forget(&id);
            self.unmake(&id);
            return Err(error);
        }
        self.container_event(&record, "create", &[]);
        Ok(CreateResponse {
            id,
            warnings: Some(warnings),
        })
    }

    fn reserve_name(&self, wanted: &str, id: &str) -> Result<String> {
        let wanted = wanted.strip_prefix('/').unwrap_or(wanted);
        if !wanted.is_empty() {
            if !names::is_valid(wanted) {
                return Err(Error::invalid(format!(
                    "Invalid container name ({wanted}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
                )));
            }
            self.containers.reserve(wanted, id)?;
            return Ok(wanted.to_owned());
        }
        for tries in 0.. {
            let name = names::pick(tries)?;
            if self.containers.reserve(&name, id).is_ok() {
                return Ok(name);
            }
        }
        Err(Error::internal("no free container name"))
    }

    /// Fills in docker's defaults and checks what is asked; gives warnings.
    fn settle(&self, config: &mut Config, host: &mut HostConfig) -> Result<Vec<String>> {
        limits::check_host(host)?;
        limits::check(&mut host.resources, false)?;
        forget_defaults(config, host);
        spec::capabilities::wanted(host)?;
        if host.network_mode.is_empty() || host.network_mode == "default" {
            host.network_mode = "bridge".into();
        }
        if host.ipc_mode.is_empty() {
            host.ipc_mode = "private".into();
        }
        if host.cgroupns_mode.is_empty() {
            let private = self.machine.unified && !host.privileged;
            host.cgroupns_mode = if private { "private" } else { "host" }.into();
        }
        if host.shm_size == 0 {
            host.shm_size = SHM_SIZE;
        }
        if host.restart_policy.name.is_empty() {
            host.restart_policy.name = "no".into();
        }
        if host.runtime.is_empty() {
            host.runtime.clone_from(&self.options.default_runtime);
        }
        self.runtime(&host.runtime)?;
        if host.log_config.driver.is_empty() {
            host.log_config.driver.clone_from(&self.options.log_driver);
            let options = self.options.log_options.clone();
            host.log_config.config = Some(
                host.log_config
                    .config
                    .take()
                    .filter(|own| !own.is_empty())
                    .unwrap_or(options),
            );
        }
        super::logs::check(&host.log_config)?;
        settle_paths(host);
        if host.resources.oom_kill_disable.is_none() && !self.machine.unified {
            host.resources.oom_kill_disable = Some(false);
        }
        check_config(config)?;
        let mut warnings = self.settle_network(config, host)?;
        if host.resources.oom_kill_disable == Some(true) && host.resources.memory == 0 {
            warnings.push(
                "OOM killer is disabled for the container, but no memory limit is set, this can result in the system \
                 running out of resources."
                    .to_owned(),
            );
        }
        Ok(warnings)
    }

    fn make(&self, record: &Record, image: &gantry_store::Digest) -> Result<()> {
        let places = self.places(&record.id);
        std::fs::create_dir_all(&places.home)
            .map_err(|e| Error::kernel(places.home.display(), e))?;
        let base = Base::Image(image.clone());
        if record.host.auto_remove {
            self.store.create_temporary_rw(&record.id, &base, true)?;
        } else {
            self.store.create_rw(&record.id, &base, true)?;
        }
        record.save(&places.home)?;
        record.save_state(&places.home)?;
        self.containers
            .add(Arc::new(Container::new(record.clone(), places)));
        Ok(())
    }

    /// Takes back what a failed creation left; what cannot be taken back is logged.
    pub fn unmake(&self, id: &str) {
        if let Ok(layer) = self.store.rw(id)
            && let Err(error) = layer.remove()
        {
            tracing::warn!("container {id}: {error}");
        }
        let home = self.places(id).home;
        if let Err(error) = std::fs::remove_dir_all(&home)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{}: {error}", home.display());
        }
    }
}

fn own_hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// The networks to join: those named, else the one of the network mode.
fn endpoints(
    asked: gantry_api::container::create::NetworkingConfig,
    host: &HostConfig,
) -> std::collections::BTreeMap<String, EndpointSettings> {
    let mut all: std::collections::BTreeMap<_, _> = asked
        .endpoints_config
        .unwrap_or_default()
        .into_iter()
        .map(|(name, settings)| (name, settings.unwrap_or_default()))
        .collect();
    if all.is_empty() && !host.network_mode.starts_with("container:") {
        all.insert(host.network_mode.clone(), EndpointSettings::default());
    }
    all
}

/// docker's masked and read-only paths, unless the container is to see them.
fn settle_paths(host: &mut HostConfig) {
    let unconfined = host
        .security_opt
        .iter()
        .flatten()
        .any(|option| option == "systempaths=unconfined");
    if host.privileged || unconfined {
        host.masked_paths = Some(host.masked_paths.take().unwrap_or_default());
        host.readonly_paths = Some(host.readonly_paths.take().unwrap_or_default());
    } else {
        let all = |paths: &[&str]| Some(paths.iter().map(|path| (*path).to_owned()).collect());
        host.masked_paths = host.masked_paths.take().or_else(|| all(&spec::MASKED));
        host.readonly_paths = host.readonly_paths.take().or_else(|| all(&spec::READ_ONLY));
    }
}

/// Checks the portable part.
fn check_config(config: &Config) -> Result<()> {
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    if !config.stop_signal.is_empty() {
        super::kill::signal_number(&config.stop_signal)
            .ok_or_else(|| Error::invalid(format!("invalid signal: {}", config.stop_signal)))?;
    }
    for entry in config.env.iter().flatten() {
        if entry.is_empty() || entry.starts_with('=') {
            return Err(Error::invalid(format!(
                "invalid environment variable: {entry}"
            )));
        }
    }
    super::health::check(config.healthcheck.as_ref())?;
    Ok(())
}

/// docker shows as unset what clients send to say nothing.
fn forget_defaults(config: &mut Config, host: &mut HostConfig) {
    let limits = &mut host.resources;
    limits.memory_swappiness = limits.memory_swappiness.filter(|value| *value != -1);
    limits.pids_limit = limits.pids_limit.filter(|limit| *limit > 0);
    config.volumes = config.volumes.take().filter(|set| !set.is_empty());
}
