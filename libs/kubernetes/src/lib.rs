//! What is known of Kubernetes by more than one service: quantities, and what containers ask for. Pure: it reads values
//! that an API server gave, and calls none.

pub mod quantity;
pub mod resources;
pub mod selector;
pub mod workload;
