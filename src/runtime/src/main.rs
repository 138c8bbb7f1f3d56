//! keel, a low-level OCI runtime

fn main() {}
