//! What takes real controllers, a scheduler and nodes. To build them takes minutes: `cargo xtask test` leaves every module of
//! this name to `cargo xtask test-peers kubernetes`.

mod day;
mod headroom;
pub(super) mod resizing;
