//! gantry, the docker command surface.

fn main() {}
