//! nf_tables without the `nft` program: the wire, the rule language, and the table of the engine.

pub mod expression;
pub mod resolver;
pub mod set;
pub mod table;
pub mod watch;
pub mod wire;
