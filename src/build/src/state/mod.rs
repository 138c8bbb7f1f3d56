//! A stage while its instructions are applied: the image configuration so far, and what variables mean.

mod metadata;

use gantry_dockerfile::error::Fault;
use gantry_dockerfile::instruction::{CommandLine, Copy, Instruction, Kind, Run};
use gantry_dockerfile::word::Lexer;
use gantry_dockerfile::{Dockerfile, heredoc, ignore};
use gantry_store::config::{HistoryEntry, ImageConfig, RunConfig};

use crate::error::{Result, at};
use crate::graph;
use crate::history;
use crate::step::{self, Directory, Mode, Step, Work};
use crate::variables::{Globals, Table};

/// Docker's shell of the shell form where SHELL says nothing.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Where programs are found in an image that does not say, as BuildKit has it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage under construction.
#[derive(Debug, Clone)]
pub struct State<'a> {
    /// The configuration so far, without diffIDs and times, which its builder knows.
    pub image: ImageConfig,
    file: &'a Dockerfile,
    globals: &'a Globals,
    /// Index of the stage in the file.
    index: usize,
    /// Env of the image and ARGs, the last value of each name.
    table: Table,
    /// ARGs declared, in order of first declaration.
    arguments: Vec<String>,
    cmd_set: bool,
}

impl<'a> State<'a> {
    /// A stage that begins with `image`; what ONBUILD left there is taken out and returned, to be applied first.
    #[must_use]
    pub fn new(
        file: &'a Dockerfile,
        globals: &'a Globals,
        index: usize,
        image: ImageConfig,
    ) -> (Self, Vec<String>) {
        let mut state = Self {
            image,
            file,
            globals,
            index,
            table: Table::default(),
            arguments: Vec::new(),
            cmd_set: false,
        };
        let config = state.config();
        let triggers = config.on_build.take().unwrap_or_default();
        let env = config.env.clone().unwrap_or_default();
        state.table = Table::of_env(&env);
        (state, triggers)
    }

    /// The same with a PATH where the image names none: every image a build makes has one.
    #[must_use]
    pub fn with_path(mut self) -> Self {
        let env = self.config().env.get_or_insert_default();
        if !env.iter().any(|pair| pair.starts_with("PATH=")) {
            env.push(format!("PATH={DEFAULT_PATH}"));
            self.table.set("PATH", DEFAULT_PATH);
        }
        self
    }

    /// The stage that `FROM this` begins: configuration, variables and arguments go on; what ONBUILD
    /// left is still to be taken.
    #[must_use]
    pub fn child(&self, index: usize) -> Self {
        let mut child = self.clone();
        child.index = index;
        child.cmd_set = false;
        child
    }

    /// Takes out what ONBUILD left; a stage built on another one runs it first.
    pub fn take_triggers(&mut self) -> Vec<String> {
        self.config().on_build.take().unwrap_or_default()
    }

    fn config(&mut self) -> &mut RunConfig {
        self.image.config.get_or_insert_default()
    }

    /// Applies one instruction; gives the work it needs, if it needs any.
    ///
    /// # Errors
    /// Variables that cannot be replaced, or values that no image can hold; with the instruction's line.
    pub fn apply(&mut self, instruction: &Instruction) -> Result<Option<Step>> {
        let mut kind = instruction.kind.clone();
        self.expand(&mut kind).map_err(at(instruction.line))?;
        let work = self.work(kind).map_err(at(instruction.line))?;
        let title = self.title(instruction);
        Ok(work.map(|work| Step {
            line: instruction.line,
            title,
            work,
        }))
    }

    fn lexer(&self) -> Lexer {
        Lexer::new(self.file.directives.escape)
    }

    fn expand(&self, kind: &mut Kind) -> Result<(), Fault> {
        let (lexer, document) = (self.lexer(), Lexer::new('\\').ignore_quotes());
        kind.expand(
            |text| Ok(lexer.expand(text, &self.table)?.text),
            |text| Ok(document.expand(text, &self.table)?.text),
        )
    }

    /// The instruction for people: set variables replaced, unset ones and quotes as written.
    fn title(&self, instruction: &Instruction) -> String {
        let lexer = self.lexer().keep_quotes().keep_escapes().keep_unset();
        let expanded = lexer.expand(&instruction.text, &self.table);
        let text = expanded.map_or_else(|_| instruction.text.clone(), |expansion| expansion.text);
        match text.split_once(char::is_whitespace) {
            Some((word, rest)) => format!("{} {}", word.to_uppercase(), rest.trim_start()),
            None => text.to_uppercase(),
        }
    }

    fn work(&mut self, kind: Kind) -> Result<Option<Work>, Fault> {
        match kind {
            Kind::Run(run) => return self.run(&run).map(Some),
            Kind::Copy(copy) => return self.copy(copy, false).map(Some),
            Kind::Add(copy) => return self.copy(copy, true).map(Some),
            Kind::Workdir(path) => return Ok(self.workdir(&path)),
            other => self.metadata(other)?,
        }
        Ok(None)
    }

    fn record(&mut self, text: String) {
        self.history(text, true);
    }

    fn history(&mut self, created_by: String, empty_layer: bool) {
        self.image.history.push(HistoryEntry {
            created_by,
            comment: history::COMMENT.to_owned(),
            empty_layer,
            ..HistoryEntry::default()
        });
    }

    /// The words of a command; the shell form is given to SHELL.
    fn words(&self, command: &CommandLine) -> Vec<String> {
        if !command.shell {
            return command.words.clone();
        }
        let shell = self
            .image
            .config
            .as_ref()
            .and_then(|config| config.shell.clone());
        let mut words = shell.unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec());
        words.push(command.words.join(" "));
        words
    }

    fn workdir(&mut self, path: &str) -> Option<Work> {
        let path = absolute(&self.directory(), path);
        self.config().working_dir.clone_from(&path);
        let user = self.config().user.clone();
        let makes = path != "/";
        self.history(format!("WORKDIR {path}"), !makes);
        makes.then_some(Work::Directory(Directory { path, user }))
    }

    /// Where commands of the stage run.
    fn directory(&self) -> String {
        let config = self.image.config.as_ref();
        let directory = config.map_or("", |config| config.working_dir.as_str());
        if directory.is_empty() {
            "/".to_owned()
        } else {
            directory.to_owned()
        }
    }

    fn run(&mut self, run: &Run) -> Result<Work, Fault> {
        let (words, script) = self.command_with_documents(run)?;
        let mut mounts = Vec::new();
        for mount in run.mounts(|text| Ok(self.lexer().expand(text, &self.table)?.text))? {
            let from = mount.from.as_deref();
            let origin = from.map_or(graph::Origin::Scratch, |from| {
                graph::origin(self.file, from, self.index, true)
            });
            mounts.push((mount, origin));
        }
        let arguments: Vec<(String, String)> = self
            .arguments
            .iter()
            .map(|name| {
                (
                    name.clone(),
                    self.table.get(name).unwrap_or_default().to_owned(),
                )
            })
            .collect();
        self.history(history::run(&arguments, &words), false);
        let config = self.image.config.clone().unwrap_or_default();
        Ok(Work::Run(step::Run {
            words,
            env: self
                .table
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            proxies: self.globals.proxies(),
            directory: self.directory(),
            user: config.user,
            mounts,
            script,
            network: run.network,
            insecure: run.insecure,
        }))
    }

    /// A here-document alone is the script itself (run as a program where it begins with `#!`); others are given back to
    /// the shell behind the command.
    #[allow(
        clippy::type_complexity,
        reason = "a pair of the words and the script's name and content"
    )]
    fn command_with_documents(
        &self,
        run: &Run,
    ) -> Result<(Vec<String>, Option<(String, String)>), Fault> {
        let Some(first) = run.heredocs.first() else {
            return Ok((self.words(&run.command), None));
        };
        let line = run.command.words.first().map_or("", String::as_str);
        if heredoc::head(line)?.is_some() {
            let text = first.text();
            if text.starts_with("#!") {
                let path = format!("/dev/pipes/{}", first.name);
                let command = CommandLine {
                    words: vec![path],
                    shell: true,
                };
                return Ok((self.words(&command), Some((first.name.clone(), text))));
            }
            return Ok((
                self.words(&CommandLine {
                    words: vec![text],
                    shell: true,
                }),
                None,
            ));
        }
        let mut text = line.to_owned();
        for document in &run.heredocs {
            text.push_str(&format!("\n{}{}", document.content, document.name));
        }
        Ok((
            self.words(&CommandLine {
                words: vec![text],
                shell: true,
            }),
            None,
        ))
    }

    fn copy(&mut self, copy: Copy, add: bool) -> Result<Work, Fault> {
        let chmod = copy.chmod.as_deref().map(mode).transpose()?;
        check_checksum(&copy)?;
        self.history(copy_text(&copy, add), false);
        let from = copy
            .from
            .as_deref()
            .map(|from| graph::origin(self.file, from, self.index, true));
        let mut destination = absolute(&self.directory(), &copy.destination);
        let directory = copy.destination.is_empty()
            || copy.destination.ends_with('/')
            || matches!(copy.destination.rsplit('/').next(), Some("." | ".."));
        if directory && destination != "/" {
            destination.push('/');
        }
        Ok(Work::Copy(step::Copy {
            add,
            from,
            sources: copy.sources,
            files: copy.files,
            destination,
            chown: copy.chown,
            chmod,
            link: copy.link,
            parents: copy.parents,
            exclude: copy.exclude,
            checksum: copy.checksum,
            keep_git_dir: copy.keep_git_dir,
            unpack: copy.unpack,
        }))
    }
}

fn copy_text(copy: &Copy, add: bool) -> String {
    let mut text = String::from(if add { "ADD" } else { "COPY" });
    if copy.parents {
        text.push_str(" --parents");
    }
    for (flag, value) in [("chown", &copy.chown), ("chmod", &copy.chmod)] {
        if let Some(value) = value {
            text.push_str(&format!(" --{flag}={value}"));
        }
    }
    let files = copy.files.iter().map(|file| format!(" <<{}", file.name));
    text.extend(
        copy.sources
            .iter()
            .map(|source| format!(" {source}"))
            .chain(files),
    );
    text.push_str(&format!(" {} # buildkit", copy.destination));
    text
}

/// A path joined to the working directory and cleaned; always absolute.
fn absolute(directory: &str, path: &str) -> String {
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{directory}/{path}")
    };
    format!("/{}", ignore::clean(&format!("/{joined}")))
}

fn mode(text: &str) -> Result<Mode, Fault> {
    let numeric = text.chars().all(|c| c.is_ascii_digit());
    if !numeric {
        return Ok(Mode::Symbolic(text.to_owned()));
    }
    match u32::from_str_radix(text, 8) {
        Ok(bits) if bits <= 0o7777 => Ok(Mode::Bits(bits)),
        _ => Err(format!(
            "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        )
        .into()),
    }
}

fn check_checksum(copy: &Copy) -> Result<(), Fault> {
    if copy.checksum.is_none() {
        return Ok(());
    }
    let [source] = copy.sources.as_slice() else {
        return Err("checksum can't be specified for multiple sources".into());
    };
    let remote = ["http://", "https://", "git://", "git@", "ssh://"];
    if !remote.iter().any(|prefix| source.starts_with(prefix)) {
        return Err("checksum requires HTTP(S) or Git sources".into());
    }
    Ok(())
}
