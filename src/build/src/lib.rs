//! From a Dockerfile to an image.
//!
//! The language ([`gantry_dockerfile`]) says what is written; this crate says what it means:
//!
//! - [`platform`], [`variables`]: what `FROM`, `ARG` and `ENV` see
//! - [`graph`]: which stages a target needs, and what each waits for
//! - [`state`]: instructions applied to an image configuration, giving [`step`]s that need work
//! - [`key`]: what a step's result depends on, as one digest (pure, so that a cache can be trusted)
//! - [`history`]: the texts of an image's history
//!
//! - [`copy`]: COPY and ADD of files that are here
//! - [`cache`], [`solve`]: what is known already, and running what is not, through a [`solve::Worker`] the engine gives

#![forbid(unsafe_code)]

pub mod cache;
pub mod copy;
pub mod error;
pub mod graph;
pub mod history;
pub mod image;
pub mod key;
pub mod platform;
pub mod solve;
pub mod state;
pub mod step;
pub mod variables;

pub use error::{Error, Result};
