//! The fault suite: sources and stages as processes of their own, what is done to them, to brokers
//! and to the network between, and the account of every record afterwards.

pub mod copy;
pub mod crash;
pub mod fault;
pub mod follower;
pub mod pipeline;
pub mod process;
pub mod seed;
pub mod verdict;
