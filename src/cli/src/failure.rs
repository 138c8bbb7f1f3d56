//! How a command fails: the text for standard error and the exit code, as docker's own.

use std::fmt;

/// A failed command. An empty text prints nothing: the container's own exit code needs no comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Exit code of the process.
    pub code: i32,
    /// What is printed, without a newline at the end.
    pub text: String,
    /// The engine's HTTP status when the engine refused.
    pub status: Option<u16>,
}

/// What a command gives back.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Fails with code 1.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            code: 1,
            text: text.into(),
            status: None,
        }
    }

    /// Exits with `code` and says nothing.
    #[must_use]
    pub fn exit(code: i32) -> Self {
        Self {
            code,
            text: String::new(),
            status: None,
        }
    }

    /// The engine's refusal, as docker words it.
    #[must_use]
    pub fn refused(status: u16, message: &str) -> Self {
        Self {
            code: 1,
            text: format!("Error response from daemon: {message}"),
            status: Some(status),
        }
    }

    /// The same with another exit code.
    #[must_use]
    pub fn with_code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// Whether the engine said there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status == Some(404)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(os_text(&error))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("engine's answer: {error}"))
    }
}

impl From<nix::Error> for Failure {
    fn from(error: nix::Error) -> Self {
        Self::from(std::io::Error::from(error))
    }
}

/// A system error as Go prints it: the errno's text in lower case, nothing more.
#[must_use]
pub fn os_text(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => {
            let text = nix::errno::Errno::from_raw(number).desc().to_owned();
            let mut letters = text.chars();
            letters.next().map_or(String::new(), |first| {
                format!("{}{}", first.to_lowercase(), letters.as_str())
            })
        }
        None => error.to_string(),
    }
}

/// Runs `each` on every argument in turn, prints what it returns, and fails with all the errors at the end, one per line.
pub fn for_each<S: AsRef<str>>(
    arguments: &[S],
    mut each: impl FnMut(&str) -> Outcome<Option<String>>,
) -> Outcome {
    let mut errors = Vec::new();
    for argument in arguments {
        match each(argument.as_ref()) {
            Ok(Some(line)) => crate::output::line(&line)?,
            Ok(None) => {}
            Err(error) => errors.push(error.text),
        }
    }
    all(errors)
}

/// Runs `each` on all the arguments at once, then prints the results in the arguments' order.
pub fn for_each_at_once<S: AsRef<str> + Sync>(
    arguments: &[S],
    each: impl Fn(&str) -> Outcome<Option<String>> + Sync,
) -> Outcome {
    let each = &each;
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = arguments
            .iter()
            .map(|argument| scope.spawn(move || each(argument.as_ref())))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Failure::new("bug: a thread of the command panicked")))
            })
            .collect()
    });
    let mut results = results.into_iter();
    for_each(arguments, |_| results.next().unwrap_or(Ok(None)))
}

/// Fails with all of `errors`, one per line, if there are any.
pub fn all(errors: Vec<String>) -> Outcome {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(errors.join("\n")))
    }
}
