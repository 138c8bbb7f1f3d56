//! keel, a low-level OCI runtime
