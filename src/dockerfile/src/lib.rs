//! gantry's dockerfile.
