//! The engine.

fn main() {}
