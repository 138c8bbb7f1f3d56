//! `hooks`: six lists of programs.

use std::path::PathBuf;
use std::time::Duration;

use super::document;
use crate::error::{Error, Result};

/// One program to be run at a point of the container's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Absolute path of the program.
    pub path: PathBuf,
    /// Its arguments, the first being its own name; empty: the path alone.
    pub args: Vec<String>,
    /// Its environment; `None` lets the point decide.
    pub env: Option<Vec<(String, String)>>,
    /// When it is killed.
    pub timeout: Option<Duration>,
    /// File that its standard output is appended to.
    pub stdout: Option<PathBuf>,
    /// The same for standard error.
    pub stderr: Option<PathBuf>,
}

/// The six points, in the order of a container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// After the namespaces are made, in the runtime's (deprecated).
    Prestart,
    /// The same, after it.
    CreateRuntime,
    /// In the container's namespaces, before the root is changed.
    CreateContainer,
    /// In the container, before its program.
    StartContainer,
    /// After the program was started, in the runtime's namespaces.
    Poststart,
    /// After the container was deleted.
    Poststop,
}

impl Point {
    /// The name in config.json.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }
}

/// All hooks of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    lists: Vec<(Point, Vec<Hook>)>,
}

impl Hooks {
    /// The hooks of a point, in order.
    #[must_use]
    pub fn at(&self, point: Point) -> &[Hook] {
        self.lists
            .iter()
            .find(|(listed, _)| *listed == point)
            .map_or(&[], |(_, hooks)| hooks)
    }

    /// Sends what hooks say to these files. startContainer hooks would find other files there, those of the container.
    pub(super) fn redirect(&mut self, stdout: Option<&PathBuf>, stderr: Option<&PathBuf>) {
        let outside = |(point, _): &&mut (Point, Vec<Hook>)| *point != Point::StartContainer;
        for hook in self
            .lists
            .iter_mut()
            .filter(outside)
            .flat_map(|(_, hooks)| hooks)
        {
            hook.stdout = stdout.cloned();
            hook.stderr = stderr.cloned();
        }
    }

    pub(super) fn read(document: Option<&document::Hooks>) -> Result<Self> {
        let Some(document) = document else {
            return Ok(Self::default());
        };
        let lists = [
            (Point::Prestart, &document.prestart),
            (Point::CreateRuntime, &document.create_runtime),
            (Point::CreateContainer, &document.create_container),
            (Point::StartContainer, &document.start_container),
            (Point::Poststart, &document.poststart),
            (Point::Poststop, &document.poststop),
        ];
        let mut hooks = Self::default();
        for (point, list) in lists {
            let Some(list) = list.as_ref().filter(|list| !list.is_empty()) else {
                continue;
            };
            let read = |(index, hook)| hook_of(hook, &format!("hooks.{}[{index}]", point.name()));
            let list = list.iter().enumerate().map(read).collect::<Result<_>>()?;
            hooks.lists.push((point, list));
        }
        Ok(hooks)
    }
}

fn hook_of(document: &document::Hook, path: &str) -> Result<Hook> {
    let program = document.path.as_deref().unwrap_or_default();
    if !program.starts_with('/') {
        return Err(Error::config(
            format!("{path}.path"),
            format!("{program:?} is not an absolute path"),
        ));
    }
    let timeout = document
        .timeout
        .map(|seconds| {
            let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
            seconds.map(Duration::from_secs).ok_or_else(|| {
                Error::config(
                    format!("{path}.timeout"),
                    "must be greater than zero seconds",
                )
            })
        })
        .transpose()?;
    let texts = document
        .args
        .iter()
        .flatten()
        .chain(document.env.iter().flatten());
    if texts
        .chain([&program.to_owned()])
        .any(|text| text.contains('\0'))
    {
        return Err(Error::config(path, "contains a NUL"));
    }
    let pair = |entry: &String| {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        (name.to_owned(), value.to_owned())
    };
    Ok(Hook {
        path: PathBuf::from(program),
        args: document.args.clone().unwrap_or_default(),
        env: document
            .env
            .as_ref()
            .map(|env| env.iter().map(pair).collect()),
        timeout,
        stdout: None,
        stderr: None,
    })
}
