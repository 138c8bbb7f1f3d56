//! gantry's api.
