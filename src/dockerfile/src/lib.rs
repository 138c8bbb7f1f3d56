//! The Dockerfile language, as text and types: what an engine needs to know of a build before it runs anything.
//!
//! Everything here is a pure function of its input: no file, clock, environment or network is read, so every part can
//! be fuzzed. The rungs, each using only those above it:
//!
//! - [`error`]: where a Dockerfile is wrong, why, and what would be accepted
//! - [`directive`], [`heredoc`], [`line`]: text to logical lines (continuations, comments, here-documents)
//! - [`word`], [`pattern`]: quotes and `$variables` of one argument
//! - [`argument`], [`flag`]: how the rest of a line falls into flags, words, pairs or a JSON array
//! - [`instruction`]: one typed value per instruction
//! - [`stage`]: the file as global arguments and stages
//! - [`glob`], [`ignore`]: Go's path patterns and `.dockerignore`
//! - [`lint`]: what works but should not be written

#![forbid(unsafe_code)]

pub mod argument;
pub mod directive;
pub mod duration;
pub mod error;
pub mod flag;
pub mod glob;
pub mod heredoc;
pub mod ignore;
pub mod instruction;
pub mod line;
pub mod lint;
pub mod nearest;
pub mod pattern;
pub mod port;
pub mod stage;
pub mod word;

pub use error::{Error, Result};
pub use instruction::Instruction;
pub use stage::{Dockerfile, Stage, parse};
