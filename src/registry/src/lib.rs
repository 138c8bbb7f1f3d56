//! gantry's registry.
