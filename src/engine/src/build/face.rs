//! A build as docker's classic stream tells it: `Step 1/3 : …`, ` ---> Using cache`, output, one JSON line each.
//!
//! Stages run at once but are told one after the other, in the order of the file: what a later stage says waits until the
//! earlier ones are done.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use gantry_api::progress::Line;
use gantry_build::solve::{Event, Observer, Stream};

use crate::pipe::Writer;

/// Where a build is told.
#[derive(Debug)]
pub struct Face {
    quiet: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    writer: Writer,
    /// The stage that is being told.
    current: usize,
    /// Stages that have ended.
    done: Vec<usize>,
    waiting: BTreeMap<usize, Vec<Event>>,
}

impl Face {
    /// Tells to `writer`; a quiet one tells only the end.
    #[must_use]
    pub fn new(writer: Writer, quiet: bool) -> Self {
        let state = State {
            writer,
            current: 0,
            done: Vec::new(),
            waiting: BTreeMap::new(),
        };
        Self {
            quiet,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client has left.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().writer.is_closed()
    }

    /// A text of the builder's own.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.lock().text(text);
        }
    }

    /// The end: the image's id as clients and as programs want it, and its names.
    pub fn finish(&self, id: &str, names: &[String]) {
        let mut state = self.lock();
        if self.quiet {
            state.text(&format!("{id}\n"));
            return;
        }
        state.line(&Line {
            aux: Some(serde_json::json!({"ID": id})),
            ..Line::default()
        });
        let short = id.trim_start_matches("sha256:").get(..12).unwrap_or(id);
        state.text(&format!("Successfully built {short}\n"));
        for name in names {
            state.text(&format!("Successfully tagged {name}\n"));
        }
    }

    /// The end of a build that failed.
    pub fn fail(&self, message: &str) {
        self.lock().line(&Line::failure(1, message));
    }
}

impl State {
    fn line(&mut self, line: &Line) {
        // A client that left is noticed by is_closed before the next step.
        drop(self.writer.write_all(&line.to_wire()));
    }

    fn text(&mut self, text: &str) {
        self.line(&Line {
            stream: text.to_owned(),
            ..Line::default()
        });
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Instruction {
                number,
                total,
                text,
            } => self.text(&format!("Step {number}/{total} : {text}\n")),
            Event::Cached(_) => self.text(" ---> Using cache\n"),
            Event::Made(reason) => {
                let key = reason.rsplit(' ').next().unwrap_or_default().to_owned();
                self.text(&format!(" ---> Running in {key}\n"));
            }
            Event::Output(Stream::Out, bytes) => self.text(&String::from_utf8_lossy(&bytes)),
            Event::Output(Stream::Err, bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                // As docker's builder marks it.
                self.text(&format!("\u{1b}[91m{text}\u{1b}[0m"));
            }
            Event::Warning(text) => self.text(&format!("[Warning] {text}\n")),
            Event::StageDone => {}
        }
    }

    fn take(&mut self, stage: usize, event: Event) {
        if event == Event::StageDone {
            self.done.push(stage);
        } else if stage == self.current {
            self.tell(event);
        } else {
            self.waiting.entry(stage).or_default().push(event);
        }
        while self.done.contains(&self.current) {
            self.current += 1;
            for event in self.waiting.remove(&self.current).unwrap_or_default() {
                self.tell(event);
            }
        }
    }
}

impl Observer for Face {
    fn event(&self, stage: usize, event: Event) {
        if !self.quiet {
            self.lock().take(stage, event);
        }
    }
}
