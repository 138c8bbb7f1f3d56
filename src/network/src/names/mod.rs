//! Names of containers on their networks: who is called what where, the answers to queries, and the sockets that serve them.

pub mod answer;
pub mod directory;
pub mod serve;
