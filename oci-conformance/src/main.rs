//! oci-conformance.

fn main() {}
