//! The disk of the embedded bus is full for a while.
