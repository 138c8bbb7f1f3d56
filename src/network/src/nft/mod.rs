//! nf_tables without the `nft` program: the wire, the rule language, and the table of the engine.

pub mod expression;
pub mod set;
pub mod table;
pub mod wire;
