//! The feature set as SQL over the window table, run by DataFusion.

pub mod merge;
pub mod moments;
pub mod quantiles;
pub mod query;
pub mod table;
