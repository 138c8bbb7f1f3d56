//! `~/.docker/config.json`: read with every key kept, written by temporary file and rename.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome, os_text};

/// The configuration file's contents.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The folder it is in.
    pub folder: PathBuf,
    /// Everything in it.
    pub values: Map<String, Value>,
}

impl Configuration {
    /// Reads it: `--config`, `DOCKER_CONFIG`, or `~/.docker`. A missing file is an empty one.
    ///
    /// # Errors
    /// When there is a file that cannot be read; one that is no JSON is told of and passed over, as docker does.
    pub fn load(folder: Option<PathBuf>) -> Outcome<Self> {
        let folder = folder
            .or_else(|| {
                env::var_os("DOCKER_CONFIG")
                    .filter(|folder| !folder.is_empty())
                    .map(PathBuf::from)
            })
            .unwrap_or_else(|| home().join(".docker"));
        let path = folder.join("config.json");
        let values = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                crate::output::complain(&format!(
                    "WARNING: Error parsing config file ({}): {error}",
                    path.display()
                ));
                Map::new()
            }),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Map::new()
            }
            Err(error) => {
                let why = os_text(&error);
                crate::output::complain(&format!(
                    "WARNING: Error loading config file: open {}: {why}",
                    path.display()
                ));
                Map::new()
            }
        };
        Ok(Self { folder, values })
    }

    /// A key that holds text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str)
    }

    /// A key that holds a map of texts.
    #[must_use]
    pub fn map_text(&self, key: &str, name: &str) -> Option<&str> {
        self.values.get(key)?.get(name)?.as_str()
    }

    /// Writes it back.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn save(&self) -> Outcome {
        let path = self.folder.join("config.json");
        let cannot = |error: std::io::Error| {
            Failure::new(format!("{}: {}", path.display(), os_text(&error)))
        };
        fs::create_dir_all(&self.folder).map_err(cannot)?;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700)).map_err(cannot)?;
        let temporary = self
            .folder
            .join(format!("config.json.{}", std::process::id()));
        let text = crate::format::ordered::indent(&serde_json::to_string(&self.values)?, 0)
            .replace("    ", "\t");
        let written = fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| {
                std::io::Write::write_all(&mut file, text.as_bytes())?;
                file.sync_all()
            });
        written
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(cannot)
    }
}

fn home() -> PathBuf {
    env::var_os("HOME")
        .map(PathBuf::from)
        .or_else(|| {
            nix::unistd::User::from_uid(nix::unistd::getuid())
                .ok()
                .flatten()
                .map(|user| user.dir)
        })
        .unwrap_or_else(|| PathBuf::from("/"))
}
