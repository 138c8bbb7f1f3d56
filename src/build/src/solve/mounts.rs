//! What `RUN --mount` puts beside a command's own files.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gantry_dockerfile::ignore::clean;
use gantry_dockerfile::instruction::{Mount, MountKind, Sharing};
use gantry_store::Digest;

use super::stage::Tree;
use super::{Event, MountPoint, Solve};
use crate::copy::{content, select};
use crate::graph::Origin;
use crate::step::{Copy, Run};

/// The mounts of a command, ready to be made; what they hold lives as long as this.
pub(super) struct Mounts {
    prepared: Vec<Prepared>,
    script: Option<Files>,
}

struct Prepared {
    point: Option<MountPoint>,
    digest: Option<Digest>,
    _tree: Option<Tree>,
    _lock: Option<File>,
    _files: Option<Files>,
}

/// A private directory with files for one command, removed with it.
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!("{}: {error}", self.0.display());
        }
    }
}

impl Mounts {
    /// Opens every source. Nothing is mounted yet.
    pub(super) fn prepare(solve: &Solve<'_, '_>, place: usize, run: &Run) -> Result<Self, String> {
        let mut prepared = Vec::new();
        for (number, (mount, origin)) in run.mounts.iter().enumerate() {
            let name = format!("{place}-mount-{number}");
            prepared.push(match mount.kind {
                MountKind::Bind => bind(solve, mount, origin, &name)?,
                MountKind::Cache => cache(solve, place, mount)?,
                MountKind::Tmpfs => Prepared::only(MountPoint::Tmpfs {
                    target: target(mount, None)?,
                    size: mount.size,
                }),
                MountKind::Secret => secret(solve, mount, &name)?,
                MountKind::Ssh if mount.required => {
                    return Err(
                        "no ssh agent was handed to the build, which this mount requires"
                            .to_owned(),
                    );
                }
                MountKind::Ssh => Prepared {
                    point: None,
                    digest: None,
                    _tree: None,
                    _lock: None,
                    _files: None,
                },
            });
        }
        let script = match &run.script {
            None => None,
            Some((name, text)) => {
                let files = Files::new(solve, &format!("{place}-script"))?;
                files.write(name, text.as_bytes(), 0o755, (0, 0))?;
                Some(files)
            }
        };
        Ok(Self { prepared, script })
    }

    /// What each contributes to the step's key.
    pub(super) fn digests(&self) -> Vec<Option<Digest>> {
        self.prepared
            .iter()
            .map(|prepared| prepared.digest.clone())
            .collect()
    }

    /// Where each goes.
    pub(super) fn points(&self) -> Result<Vec<MountPoint>, String> {
        let script = self.script.as_ref().map(|files| MountPoint::Bind {
            source: files.0.clone(),
            target: "/dev/pipes".to_owned(),
            read_only: true,
        });
        Ok(self
            .prepared
            .iter()
            .filter_map(|prepared| prepared.point.clone())
            .chain(script)
            .collect())
    }
}

impl Prepared {
    fn only(point: MountPoint) -> Self {
        Self {
            point: Some(point),
            digest: None,
            _tree: None,
            _lock: None,
            _files: None,
        }
    }
}

impl Files {
    fn new(solve: &Solve<'_, '_>, name: &str) -> Result<Self, String> {
        let path = solve
            .request
            .cache_mounts
            .join(format!(".build-{}-{name}", solve.request.id));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    fn write(
        &self,
        name: &str,
        content: &[u8],
        mode: u32,
        owner: (u32, u32),
    ) -> Result<PathBuf, String> {
        let path = self.0.join(name);
        let shown = |error: std::io::Error| format!("{}: {error}", path.display());
        fs::write(&path, content).map_err(shown)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(shown)?;
        std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1)).map_err(shown)?;
        Ok(path)
    }
}

fn target(mount: &Mount, default: Option<String>) -> Result<String, String> {
    let text = mount
        .target
        .clone()
        .or(default)
        .ok_or_else(|| format!("{} mount: target is required", mount.kind.name()))?;
    Ok(format!("/{}", clean(&format!("/{text}"))))
}

/// Files of the context, a stage or an image. What a command writes to a stage's or image's goes with its layer.
fn bind(
    solve: &Solve<'_, '_>,
    mount: &Mount,
    origin: &Origin,
    name: &str,
) -> Result<Prepared, String> {
    let from = mount.from.as_ref().map(|_| origin);
    if from.is_none() && !mount.read_only {
        return Err("bind mount of the build context: rw is not possible, the context is shared; copy it or add ro".to_owned());
    }
    let tree = Tree::open(solve, from, name)?;
    let path = mount.source.clone().unwrap_or_else(|| "/".to_owned());
    let found = select::select(&tree.root, &path, false).map_err(|error| error.to_string())?;
    let [source] = found.as_slice() else {
        return Err(format!(
            "bind mount source {path:?}: expected one path without wildcards"
        ));
    };
    let digest =
        content::digest(&tree.root, &Copy::default(), &found).map_err(|error| error.to_string())?;
    let point = MountPoint::Bind {
        source: tree.root.join(clean(&source.path)),
        target: target(mount, None)?,
        read_only: mount.read_only,
    };
    Ok(Prepared {
        point: Some(point),
        digest: Some(digest),
        _tree: Some(tree),
        _lock: None,
        _files: None,
    })
}

/// A directory kept between builds. `locked` waits for the other build, `private` takes another directory while one is
/// in use.
fn cache(solve: &Solve<'_, '_>, place: usize, mount: &Mount) -> Result<Prepared, String> {
    if mount.from.is_some() || mount.source.is_some() {
        return Err(
            "cache mount: from and source are not supported, the directory begins empty".to_owned(),
        );
    }
    let target = target(mount, None)?;
    let namespace = solve
        .request
        .globals
        .build_args
        .get("BUILDKIT_CACHE_MOUNT_NS")
        .map_or("", String::as_str);
    let id = mount.id.as_deref().unwrap_or(&target);
    let base = Digest::of(format!("{namespace}\0{id}").as_bytes());
    let shown = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    for number in 0.. {
        let dir = solve
            .request
            .cache_mounts
            .join(format!("{}-{number}", base.hex()));
        let fresh = !dir.exists();
        fs::create_dir_all(&dir).map_err(|error| shown(&dir, error))?;
        if fresh {
            let mode = fs::Permissions::from_mode(mount.mode.unwrap_or(0o755));
            fs::set_permissions(&dir, mode).map_err(|error| shown(&dir, error))?;
            std::os::unix::fs::chown(&dir, mount.uid, mount.gid)
                .map_err(|error| shown(&dir, error))?;
        }
        let lock = File::open(&dir).map_err(|error| shown(&dir, error))?;
        match mount.sharing {
            Sharing::Shared => lock.lock_shared().map_err(|error| shown(&dir, error))?,
            Sharing::Locked => {
                if lock.try_lock().is_err() {
                    solve.observer.event(
                        place,
                        Event::Warning(format!(
                            "cache mount {id} is locked by another step, waiting"
                        )),
                    );
                    lock.lock().map_err(|error| shown(&dir, error))?;
                }
            }
            Sharing::Private if lock.try_lock().is_err() => continue,
            Sharing::Private => {}
        }
        let point = MountPoint::Bind {
            source: dir,
            target,
            read_only: mount.read_only,
        };
        return Ok(Prepared {
            point: Some(point),
            digest: None,
            _tree: None,
            _lock: Some(lock),
            _files: None,
        });
    }
    Err("cache mount: no free directory".to_owned())
}

/// A secret as a file of its own; it is in no layer, key or history.
fn secret(solve: &Solve<'_, '_>, mount: &Mount, name: &str) -> Result<Prepared, String> {
    if mount.env.is_some() {
        return Err("secret mount: env is not supported, read the file at target".to_owned());
    }
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let id = mount
        .id
        .clone()
        .or_else(|| mount.source.clone())
        .or_else(|| mount.target.as_deref().map(base))
        .unwrap_or_default();
    let Some(value) = solve.request.secrets.get(&id) else {
        if mount.required {
            return Err(format!("secret {id}: not found"));
        }
        return Ok(Prepared {
            point: None,
            digest: None,
            _tree: None,
            _lock: None,
            _files: None,
        });
    };
    let files = Files::new(solve, name)?;
    let owner = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
    let source = files.write("secret", value, mount.mode.unwrap_or(0o400), owner)?;
    let target = target(mount, Some(format!("/run/secrets/{id}")))?;
    let point = MountPoint::Bind {
        source,
        target,
        read_only: true,
    };
    Ok(Prepared {
        point: Some(point),
        digest: None,
        _tree: None,
        _lock: None,
        _files: Some(files),
    })
}
