//! `GET /containers/{id}/top`: the host's `ps`, its lines of the container's processes only.

use gantry_api::container::top::Top;
use tokio::process::Command;

use super::Container;
use super::record::Phase;
use crate::Engine;
use crate::error::{Error, Result};

impl Engine {
    /// The processes of a container as `ps ARGUMENTS` shows them.
    ///
    /// # Errors
    /// Conflict if it does not run; invalid if `ps` shows no PID column.
    pub async fn container_top(&self, container: &Container, arguments: &str) -> Result<Top> {
        let view = container.view();
        match view.state.phase {
            Phase::Running | Phase::Paused => {}
            Phase::Restarting => {
                return Err(Error::conflict(format!(
                    "Container {} is restarting, wait until the container is running",
                    view.id
                )));
            }
            _ => {
                return Err(Error::conflict(format!(
                    "container {} is not running",
                    view.id
                )));
            }
        }
        if arguments.contains("|")
            || arguments
                .split_whitespace()
                .any(|word| word.starts_with("-o") && word.contains("=pid"))
        {
            return Err(Error::invalid("specifying \"-o pid=...\" is not allowed"));
        }
        let listed = self
            .run_runtime(
                &view.host.runtime,
                &["ps", "--format", "json", &view.id],
                None,
            )
            .await?;
        let pids: Vec<i64> = serde_json::from_slice(&listed)
            .map_err(|e| Error::internal(format!("runtime's ps: {e}")))?;
        let output = Command::new("ps")
            .args(arguments.split_whitespace())
            .output()
            .await
            .map_err(|e| Error::kernel("exec of ps", e))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(Error::internal(format!("ps: {}", text.trim())));
        }
        read(&String::from_utf8_lossy(&output.stdout), &pids)
    }
}

fn read(text: &str, pids: &[i64]) -> Result<Top> {
    let mut lines = text.lines();
    let titles: Vec<String> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let column = titles.iter().position(|title| title == "PID");
    let column = column.ok_or_else(|| Error::internal("Couldn't find PID field in ps output"))?;
    let mut processes = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let pid = words.get(column).and_then(|word| word.parse().ok());
        if pid.is_some_and(|pid| pids.contains(&pid)) && words.len() >= titles.len() {
            let last = titles.len() - 1;
            let mut fields: Vec<String> = words[..last]
                .iter()
                .map(|word| (*word).to_owned())
                .collect();
            fields.push(words[last..].join(" "));
            processes.push(fields);
        }
    }
    Ok(Top {
        processes: Some(processes),
        titles: Some(titles),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn keeps_the_command_whole() {
        let text = "UID PID PPID CMD\nroot 7 1 sleep 600 x\nroot 8 1 other\n";
        let top = super::read(text, &[7]).unwrap();
        assert_eq!(top.processes.unwrap(), [["root", "7", "1", "sleep 600 x"]]);
    }
}
