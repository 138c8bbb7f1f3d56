//! Instructions that change the configuration and need no work.

use gantry_dockerfile::argument::Pair;
use gantry_dockerfile::error::Fault;
use gantry_dockerfile::instruction::{Argument, CommandLine, Health, Kind};
use gantry_dockerfile::port;
use gantry_store::config::Healthcheck;

use super::State;
use crate::history;
use crate::variables::SPECIAL;

impl State<'_> {
    pub(super) fn metadata(&mut self, kind: Kind) -> Result<(), Fault> {
        match kind {
            Kind::Env(pairs) => self.env(&pairs),
            Kind::Label(pairs) => self.label(&pairs),
            Kind::Arg(arguments) => self.arguments(&arguments)?,
            Kind::Cmd(command) => self.cmd(&command),
            Kind::Entrypoint(command) => self.entrypoint(&command),
            Kind::Expose(ports) => self.expose(&ports)?,
            Kind::Volume(volumes) => self.volume(&volumes),
            Kind::Healthcheck(health) => self.health(&health),
            Kind::Maintainer(author) => {
                self.record(format!("MAINTAINER {author}"));
                self.image.author = author;
            }
            Kind::User(user) => {
                self.record(format!("USER {user}"));
                self.config().user = user;
            }
            Kind::StopSignal(signal) => {
                check_signal(&signal)?;
                self.record(format!("STOPSIGNAL {signal}"));
                self.config().stop_signal = signal;
            }
            Kind::Shell(words) => {
                self.record(format!("SHELL {}", history::plain_list(&words)));
                self.config().shell = Some(words);
            }
            Kind::Onbuild(text) => self.config().on_build.get_or_insert_default().push(text),
            Kind::Include(path) => {
                return Err(format!(
                    "INCLUDE {path}: the file's instructions were not put in its place"
                )
                .into());
            }
            Kind::From(_) | Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_) => {}
        }
        Ok(())
    }

    fn env(&mut self, pairs: &[Pair]) {
        for pair in pairs {
            self.table.set(&pair.name, &pair.value);
            let text = format!("{}={}", pair.name, pair.value);
            let env = self.config().env.get_or_insert_default();
            let same = |known: &&mut String| known.split('=').next() == Some(pair.name.as_str());
            match env.iter_mut().find(same) {
                Some(old) => *old = text,
                None => env.push(text),
            }
        }
        self.record(history::pairs("ENV", pairs));
    }

    fn label(&mut self, pairs: &[Pair]) {
        let labels = self.config().labels.get_or_insert_default();
        for pair in pairs {
            labels.insert(pair.name.clone(), pair.value.clone());
        }
        self.record(history::pairs("LABEL", pairs));
    }

    /// `--build-arg`, else the default (which sees the names before it), else the global ARG of that name.
    fn arguments(&mut self, arguments: &[Argument]) -> Result<(), Fault> {
        let mut text = String::from("ARG");
        for argument in arguments {
            let name = argument.name.as_str();
            let default = match &argument.default {
                Some(default) => Some(self.lexer().expand(default, &self.table)?.text),
                None => self.globals.table.get(name).map(str::to_owned),
            };
            let value = self.globals.build_args.get(name).cloned().or(default);
            text.push_str(&format!(" {name}"));
            if let Some(value) = value {
                text.push_str(&format!("={value}"));
                if !SPECIAL.contains(&name) {
                    self.table.set(name, &value);
                }
            }
            if !self.arguments.iter().any(|known| known == name) {
                self.arguments.push(name.to_owned());
            }
        }
        self.record(text);
        Ok(())
    }

    fn cmd(&mut self, command: &CommandLine) {
        let words = self.words(command);
        self.record(format!("CMD {}", history::quoted_list(&words)));
        let config = self.config();
        config.cmd = Some(words);
        config.args_escaped = true;
        self.cmd_set = true;
    }

    /// A Cmd inherited from the base goes; one of this stage stays.
    fn entrypoint(&mut self, command: &CommandLine) {
        let words = if command.shell && command.words.is_empty() {
            Vec::new()
        } else {
            self.words(command)
        };
        self.record(format!("ENTRYPOINT {}", history::quoted_list(&words)));
        let keep_cmd = self.cmd_set;
        let config = self.config();
        config.entrypoint = (!words.is_empty()).then_some(words);
        if !keep_cmd {
            config.cmd = None;
        }
    }

    fn expose(&mut self, words: &[String]) -> Result<(), Fault> {
        let mut words = words.to_vec();
        words.sort();
        let mut ports = Vec::new();
        for word in &words {
            ports.extend(port::parse(word)?);
        }
        let exposed = self.config().exposed_ports.get_or_insert_default();
        for port in &ports {
            exposed.insert(port.clone(), serde_json::json!({}));
        }
        self.record(format!("EXPOSE {}", history::plain_list(&ports)));
        Ok(())
    }

    fn volume(&mut self, paths: &[String]) {
        let volumes = self.config().volumes.get_or_insert_default();
        for path in paths {
            volumes.insert(path.clone(), serde_json::json!({}));
        }
        self.record(format!("VOLUME {}", history::plain_list(paths)));
    }

    fn health(&mut self, health: &Health) {
        let test = match &health.command {
            None => vec!["NONE".to_owned()],
            Some(command) => {
                let kind = if command.shell { "CMD-SHELL" } else { "CMD" };
                std::iter::once(kind.to_owned())
                    .chain(command.words.clone())
                    .collect()
            }
        };
        self.record(format!(
            "HEALTHCHECK {{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
            history::plain_list(&test),
            history::duration(health.interval),
            history::duration(health.timeout),
            history::duration(health.start_period),
            history::duration(health.start_interval),
            health.retries,
        ));
        self.config().healthcheck = Some(Healthcheck {
            test: Some(test),
            interval: health.interval,
            timeout: health.timeout,
            start_period: health.start_period,
            start_interval: health.start_interval,
            retries: health.retries.into(),
        });
    }
}

/// A signal's name with or without `SIG`, or its number.
fn check_signal(text: &str) -> Result<(), Fault> {
    const NAMES: &[&str] = &[
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
    ];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = text
        .parse::<u8>()
        .is_ok_and(|number| (1..=64).contains(&number));
    let real_time = name
        .strip_prefix("RTMIN")
        .or_else(|| name.strip_prefix("RTMAX"))
        .is_some_and(|offset| {
            offset.is_empty()
                || offset
                    .trim_start_matches(['+', '-'])
                    .parse::<u8>()
                    .is_ok_and(|offset| offset <= 15)
        });
    if number || real_time || NAMES.contains(&name) {
        return Ok(());
    }
    Err(Fault::near(format!("invalid signal: {text}"), name, NAMES))
}
