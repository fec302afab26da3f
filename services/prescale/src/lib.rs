//! The command line. So far it shows and makes the topics and reads the bus; `up` is to come.

pub mod bus_commands;
pub mod topics;
