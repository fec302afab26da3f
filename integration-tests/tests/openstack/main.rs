//! Against a real Keystone, Placement, Glance and Nova with a fake hypervisor. They take minutes to start, so these tests are
//! run by `cargo xtask test-peers openstack` alone. What has come of something is counted by Nova's own record.

mod number;
mod resizing;
mod world;
