//! Volumes: named directories that outlive containers, `volumes/<name>/_data` below the data root.
//!
//! Who uses a volume is told by the containers' records, so no count can go wrong; what is mounted on one (`--opt type=…`) is told
//! by the kernel.

pub mod content;
pub mod options;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gantry_api::volume::{CreateRequest, Volume as View};
use gantry_api::word::Map;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::container::names;
use crate::error::{Error, Result};
use crate::network::record::{forget, save};

/// The label of a volume nobody named.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// A volume.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// RFC 3339, whole seconds.
    pub created: String,
    /// Labels; null and empty differ in answers.
    pub labels: Option<Map>,
    /// Options of the local driver.
    pub options: Option<Map>,
}

/// All volumes of an engine.
#[derive(Debug)]
pub struct Volumes {
    root: PathBuf,
    all: Mutex<BTreeMap<String, Volume>>,
    /// Which containers a mounted volume is mounted for; rebuilt by the next engine.
    users: Mutex<BTreeMap<String, std::collections::BTreeSet<String>>>,
}

impl Volumes {
    /// Reads the volumes below `data_root`.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(data_root: &Path) -> Result<Self> {
        let root = data_root.join("volumes");
        let fail = |e| Error::kernel(root.display(), e);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o701)
            .create(&root)
            .map_err(fail)?;
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(&root).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let Ok(bytes) = fs::read(path.join("volume.json")) else {
                tracing::warn!("{}: no volume: its record is missing", path.display());
                continue;
            };
            match serde_json::from_slice::<Volume>(&bytes) {
                Ok(volume) => drop(all.insert(volume.name.clone(), volume)),
                Err(error) => {
                    tracing::warn!("{}: volume record not readable: {error}", path.display())
                }
            }
        }
        Ok(Self {
            root,
            all: Mutex::new(all),
            users: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Volume>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory a container sees.
    #[must_use]
    pub fn data(&self, name: &str) -> PathBuf {
        self.root.join(name).join("_data")
    }

    /// Makes a volume, or gives the one of this name; an empty name is made up. Says whether it is new.
    ///
    /// # Errors
    /// Docker's texts: a bad name, an unknown driver, options that make no sense or differ from the volume's own.
    pub fn create(&self, request: CreateRequest) -> Result<(Volume, bool)> {
        let mut labels = (!request.labels.is_empty()).then_some(request.labels);
        let name = if request.name.is_empty() {
            labels
                .get_or_insert_default()
                .insert(ANONYMOUS.to_owned(), String::new());
            names::id()?
        } else {
            request.name
        };
        if !matches!(request.driver.as_str(), "" | "local") {
            let driver = &request.driver;
            return Err(Error::not_found(format!(
                "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
            )));
        }
        check_name(&name)?;
        let options = (!request.driver_opts.is_empty()).then_some(request.driver_opts);
        let mut all = self.lock();
        if let Some(known) = all.get(&name) {
            return match &options {
                Some(wanted) if known.options.as_ref() != Some(wanted) => Err(Error::conflict(
                    format!("create {name}: conflict: volume name must be unique"),
                )),
                _ => Ok((known.clone(), false)),
            };
        }
        if let Some(options) = &options {
            options::check(options)
                .map_err(|error| Error::invalid(format!("create {name}: {}", error.message)))?;
        }
        let volume = Volume {
            name: name.clone(),
            created: seconds(),
            labels,
            options,
        };
        self.make(&volume)?;
        all.insert(name, volume.clone());
        Ok((volume, true))
    }

    fn make(&self, volume: &Volume) -> Result<()> {
        let data = self.data(&volume.name);
        let place = self.root.join(&volume.name);
        let directory = |path: &Path, mode| {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(path);
            made.map_err(|e| Error::kernel(path.display(), e))
        };
        directory(&place, 0o701)?;
        directory(&data, 0o755)?;
        save(&place.join("volume.json"), volume, true)
    }

    /// The volume of this name.
    ///
    /// # Errors
    /// `get X: no such volume`.
    pub fn find(&self, name: &str) -> Result<Volume> {
        let missing = || Error::not_found(format!("get {name}: no such volume"));
        self.lock().get(name).cloned().ok_or_else(missing)
    }

    /// All volumes in order of name.
    #[must_use]
    pub fn all(&self) -> Vec<Volume> {
        self.lock().values().cloned().collect()
    }

    /// Removes a volume with all that is in it; `users` are the containers that have it. With `force`, none there is fine.
    ///
    /// # Errors
    /// Conflict, docker's text, while in use; not found; the disk's.
    pub fn remove(&self, name: &str, users: &[String], force: bool) -> Result<bool> {
        let mut all = self.lock();
        if !all.contains_key(name) {
            return if force {
                Ok(false)
            } else {
                Err(Error::not_found(format!("get {name}: no such volume")))
            };
        }
        if !users.is_empty() {
            return Err(Error::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        options::unmount(&self.data(name))?;
        let place = self.root.join(name);
        // Without its record a half removed volume is none; the next engine tells of what is left.
        forget(&place.join("volume.json"))?;
        all.remove(name);
        fs::remove_dir_all(&place)
            .map_err(|e| Error::kernel(format!("remove {name}: {}", place.display()), e))?;
        Ok(true)
    }

    /// Gives the volume to a container that starts: mounts what its options say, once for all users.
    ///
    /// # Errors
    /// Not found; the mount's.
    pub fn mount(&self, name: &str, container: &str) -> Result<PathBuf> {
        let volume = self.find(name)?;
        let data = self.data(name);
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(options) = &volume.options {
            if !options::is_mounted(&data)? {
                options::mount(options, &data).map_err(|error| {
                    Error::internal(format!(
                        "error while mounting volume '{}': {}",
                        data.display(),
                        error.message
                    ))
                })?;
            }
            users
                .entry(name.to_owned())
                .or_default()
                .insert(container.to_owned());
        }
        Ok(data)
    }

    /// Takes the volume back from a container that ended; what was mounted for its last user is unmounted.
    ///
    /// # Errors
    /// The unmount's.
    pub fn unmount(&self, name: &str, container: &str) -> Result<()> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = users.get_mut(name) else {
            return Ok(());
        };
        own.remove(container);
        if own.is_empty() {
            users.remove(name);
            options::unmount(&self.data(name))?;
        }
        Ok(())
    }

    /// Bytes a volume takes.
    ///
    /// # Errors
    /// The disk's.
    pub fn size(&self, name: &str) -> Result<u64> {
        content::size(&self.data(name))
    }

    /// Fills an empty volume with what the image has at `destination`; `root` is the container's mounted root.
    ///
    /// # Errors
    /// The disk's.
    pub fn fill(&self, name: &str, root: &Path, destination: &str) -> Result<()> {
        let volume = self.find(name)?;
        if volume.options.is_some() {
            self.mount(name, "")?;
        }
        let filled = content::fill(root, destination, &self.data(name));
        if volume.options.is_some() {
            self.unmount(name, "")?;
        }
        filled
    }
}

impl Volume {
    /// What the API shows.
    #[must_use]
    pub fn view(&self, volumes: &Volumes) -> View {
        View {
            created_at: self.created.clone(),
            driver: "local".into(),
            labels: self.labels.clone(),
            mountpoint: volumes.data(&self.name).to_string_lossy().into_owned(),
            name: self.name.clone(),
            options: self.options.clone(),
            scope: "local".into(),
            ..View::default()
        }
    }

    /// Whether nobody named it.
    #[must_use]
    pub fn anonymous(&self) -> bool {
        self.labels
            .as_ref()
            .is_some_and(|labels| labels.contains_key(ANONYMOUS))
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.len() < 2 {
        return Err(Error::invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    if !names::is_valid(name) {
        return Err(Error::invalid(format!(
            "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" \
             are allowed. If you intended to pass a host directory, use absolute path"
        )));
    }
    Ok(())
}

/// Now in whole seconds, as docker dates volumes.
fn seconds() -> String {
    let now = clock::now();
    now.split_once('.')
        .map_or_else(|| now.clone(), |(whole, _)| format!("{whole}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("removed");
        }
    }

    fn place(name: &str) -> Place {
        let path =
            std::env::temp_dir().join(format!("gantry-volume-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("directory");
        Place(path)
    }

    fn named(name: &str) -> CreateRequest {
        CreateRequest {
            name: name.into(),
            ..CreateRequest::default()
        }
    }

    #[test]
    fn made_once_kept_and_removed() {
        let place = place("life");
        let volumes = Volumes::open(&place.0).expect("open");
        assert!(volumes.create(named("v1")).expect("made").1);
        assert!(!volumes.create(named("v1")).expect("known").1);
        let (anonymous, _) = volumes.create(named("")).expect("made");
        assert!(anonymous.anonymous() && anonymous.name.len() == 64);
        assert!(place.0.join("volumes/v1/_data").is_dir());
        let again = Volumes::open(&place.0).expect("open");
        assert_eq!(again.all().len(), 2);
        let text = again
            .remove("v1", &["c1".into()], false)
            .expect_err("used")
            .message;
        assert_eq!(text, "remove v1: volume is in use - [c1]");
        assert!(again.remove("v1", &[], false).expect("removed"));
        assert_eq!(
            again.remove("v1", &[], false).expect_err("gone").message,
            "get v1: no such volume"
        );
        assert!(!again.remove("v1", &[], true).expect("forced"));
    }

    #[test]
    fn refusals_in_dockers_words() {
        let place = place("refusals");
        let volumes = Volumes::open(&place.0).expect("open");
        let text = |request: CreateRequest| volumes.create(request).expect_err("refused").message;
        let with = |options: &[(&str, &str)]| CreateRequest {
            driver_opts: options
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..named("v4")
        };
        assert_eq!(
            text(with(&[("foo", "bar")])),
            "create v4: invalid option: \"foo\""
        );
        assert_eq!(
            text(with(&[("type", "tmpfs")])),
            "create v4: missing required option: \"device\""
        );
        assert_eq!(
            text(with(&[("o", "bind"), ("device", "/x")])),
            "create v4: missing required option: \"type\""
        );
        assert!(text(named("a/b")).starts_with("create a/b: \"a/b\" includes invalid characters"));
        assert!(text(named("x")).contains("too short"));
        let foreign = CreateRequest {
            driver: "foo".into(),
            ..named("v3")
        };
        assert_eq!(
            text(foreign),
            "create v3: error looking up volume plugin foo: plugin \"foo\" not found"
        );
    }

    #[test]
    fn filled_from_the_image_once() {
        let place = place("fill");
        let root = place.0.join("root");
        fs::create_dir_all(root.join("data/sub")).expect("tree");
        fs::write(root.join("data/sub/file"), "text").expect("file");
        std::os::unix::fs::symlink("/data", root.join("link")).expect("link");
        let volumes = Volumes::open(&place.0).expect("open");
        volumes.create(named("v1")).expect("made");
        volumes
            .fill("v1", &root, "/link")
            .expect("filled through a link inside the root");
        assert_eq!(
            fs::read_to_string(volumes.data("v1").join("sub/file")).expect("copied"),
            "text"
        );
        fs::write(root.join("data/second"), "more").expect("file");
        volumes
            .fill("v1", &root, "/data")
            .expect("not empty any more");
        assert!(!volumes.data("v1").join("second").exists());
        volumes.create(named("v2")).expect("made");
        volumes
            .fill("v2", &root, "/nothing")
            .expect("nothing to copy");
        assert!(volumes.size("v1").expect("size") >= 4);
    }
}
