//! Kernel calls with owned file descriptors; the only crate with unsafe code.
