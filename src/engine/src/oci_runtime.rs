//! Calls of an OCI runtime that are not the monitor's: always by exec, always with a time limit.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::Engine;
use crate::error::{Error, Result};
use crate::options::Runtime;

/// How long a verb may take before the container is called stuck.
const LIMIT: Duration = Duration::from_secs(30);

impl Engine {
    /// The runtime `name`, or the default one for the empty name.
    ///
    /// # Errors
    /// Invalid, docker's text, for a name nobody registered.
    pub fn runtime(&self, name: &str) -> Result<&Runtime> {
        let name = if name.is_empty() {
            &self.options.default_runtime
        } else {
            name
        };
        self.options
            .runtimes
            .get(name)
            .ok_or_else(|| Error::invalid(format!("unknown or invalid runtime name: {name}")))
    }

    /// Where the runtime keeps its state.
    #[must_use]
    pub fn runtime_root(&self) -> PathBuf {
        self.options.exec_root.join("runtime")
    }

    /// The runtime's program and global arguments.
    ///
    /// # Errors
    /// As [`Engine::runtime`].
    pub fn runtime_command(&self, name: &str) -> Result<Vec<String>> {
        let runtime = self.runtime(name)?;
        let mut command = vec![runtime.path.to_string_lossy().into_owned()];
        command.extend(runtime.arguments.iter().cloned());
        command.extend([
            "--root".to_owned(),
            self.runtime_root().to_string_lossy().into_owned(),
        ]);
        Ok(command)
    }

    /// Runs `verb arguments…` of the runtime `name` and gives its standard output.
    ///
    /// # Errors
    /// The runtime's message, or that it did not answer in time.
    pub async fn run_runtime(
        &self,
        name: &str,
        arguments: &[&str],
        input: Option<&Path>,
    ) -> Result<Vec<u8>> {
        let command = self.runtime_command(name)?;
        let stdin = match input {
            Some(file) => std::fs::File::open(file)
                .map_err(|e| Error::kernel(format!("{file:?}"), e))?
                .into(),
            None => Stdio::null(),
        };
        let running = Command::new(&command[0])
            .args(&command[1..])
            .args(arguments)
            .stdin(stdin)
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, running)
            .await
            .map_err(|_| {
                Error::internal(format!(
                    "the runtime did not finish {:?} within {LIMIT:?}",
                    arguments[0]
                ))
            })?
            .map_err(|e| Error::kernel(format!("exec of the runtime {:?}", command[0]), e))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        Err(Error::internal(
            text.trim()
                .rsplit('\n')
                .next()
                .unwrap_or_default()
                .to_owned(),
        ))
    }
}
