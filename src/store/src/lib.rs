//! gantry's store.
