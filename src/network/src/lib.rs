//! gantry's network.
