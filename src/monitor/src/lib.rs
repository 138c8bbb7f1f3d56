//! One process per container.
