//! How OpenStack is reached: clouds as `clouds.yaml` has them, tokens of Keystone, and calls of Nova's API. It knows nothing
//! of what the calls are for.

pub mod client;
pub mod clouds;
mod keystone;
