//! What is kept of a container on disk: facts only; its status is derived when somebody asks.
//!
//! ```text
//! <root>/<id>/          0711, locked (flock) by whoever changes the container
//!   record.json         the facts; written beside and renamed
//!   gate answer         fifos of a created container; gone once it was started
//! ```

pub mod record;
pub mod root;
pub mod slot;
pub mod status;

pub use record::{HookState, Record};
pub use root::Root;
pub use slot::Slot;
pub use status::Status;
