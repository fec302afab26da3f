//! What is known of Kubernetes by more than one service: how a cluster is reached, quantities, what containers ask for, how
//! workloads are called. But for [`access`] it is pure.

pub mod access;
pub mod quantity;
pub mod resources;
pub mod selector;
pub mod workload;
