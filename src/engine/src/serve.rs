//! The process: sockets, signals, leaving.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};

use crate::Engine;
use crate::error::{Error, Result};
use crate::http::server;
use crate::options::Options;

/// Runs an engine until it is told to leave or nobody needs it.
///
/// # Errors
/// A socket that cannot be had; whatever keeps the engine from opening.
pub async fn run(options: Options) -> Result<()> {
    let engine = Arc::new(Engine::open(options)?);
    let mut sockets = Vec::new();
    for host in &engine.options.hosts {
        sockets.extend(listen(&engine, host)?);
    }
    if let Some(file) = &engine.options.pidfile {
        std::fs::write(file, std::process::id().to_string())
            .map_err(|e| Error::kernel(file.display(), e))?;
    }
    // Adopted before anybody is answered would hold the first command up: readers see the records at once anyway.
    let adopting = engine.clone();
    tokio::spawn(async move { adopting.adopt_containers().await });
    let standing = engine.clone();
    std::thread::spawn(move || {
        if let Err(error) = standing.networks.keep_standing() {
            tracing::warn!("network: not watched: {error}");
        }
    });
    tracing::info!("API listens on {}", engine.options.hosts.join(" "));
    let stop = |kind| signal(kind).map_err(|e| Error::kernel("signals", e));
    let (mut term, mut int) = (
        stop(SignalKind::terminate())?,
        stop(SignalKind::interrupt())?,
    );
    let idle = async {
        match engine.options.idle_exit {
            Some(seconds) => engine.idle.wait(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = idle => tracing::info!("nobody needs this engine: leaving"),
    }
    for file in sockets.into_iter().chain(engine.options.pidfile.clone()) {
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::debug!("{}: {error}", file.display());
        }
    }
    Ok(())
}

/// Opens one address and serves it; gives the socket file to remove in the end.
fn listen(engine: &Arc<Engine>, host: &str) -> Result<Option<PathBuf>> {
    let engine = engine.clone();
    if let Some(path) = host.strip_prefix("unix://") {
        let path = Path::new(path);
        let listener = bind(path, engine.options.group.as_deref())?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server::serve(engine.clone(), stream));
            }
        });
        return Ok(Some(path.to_owned()));
    }
    let address = host.strip_prefix("tcp://").ok_or_else(|| {
        Error::invalid(format!(
            "host {host:?}: expected unix://PATH or tcp://ADDRESS:PORT"
        ))
    })?;
    let listener = std::net::TcpListener::bind(address).map_err(|e| Error::kernel(host, e))?;
    listener
        .set_nonblocking(true)
        .map_err(|e| Error::kernel(host, e))?;
    let listener = TcpListener::from_std(listener).map_err(|e| Error::kernel(host, e))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(server::serve(engine.clone(), stream));
        }
    });
    Ok(None)
}

/// Binds a socket in place of a dead engine's: under another name first, so that no client finds it half ready.
fn bind(path: &Path, group: Option<&str>) -> Result<UnixListener> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| Error::kernel(parent.display(), e))?;
    }
    // A socket somebody answers on is not a dead engine's: it is dockerd's, or another gantry's.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(Error::conflict(format!(
            "socket {}: another engine listens there; name another one with -H",
            path.display()
        )));
    }
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let listener = UnixListener::bind(&fresh).map_err(|e| Error::kernel(fresh.display(), e))?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o660))
        .map_err(|e| Error::kernel(fresh.display(), e))?;
    if let Some(group) = group {
        let id = group_id(group)
            .ok_or_else(|| Error::invalid(format!("group {group}: not found in /etc/group")))?;
        nix::unistd::chown(&fresh, None, Some(nix::unistd::Gid::from_raw(id)))
            .map_err(|e| Error::kernel(fresh.display(), e))?;
    }
    std::fs::rename(&fresh, path).map_err(|e| Error::kernel(path.display(), e))?;
    Ok(listener)
}

fn group_id(name: &str) -> Option<u32> {
    if let Ok(id) = name.parse() {
        return Some(id);
    }
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|line| line[0] == name)?
        .get(2)?
        .parse()
        .ok()
}
