//! One process per container.

fn main() {}
