//! The engine itself: one file per request or answer.

pub mod auth;
pub mod df;
pub mod events;
pub mod info;
pub mod version;
