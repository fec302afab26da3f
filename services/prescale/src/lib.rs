//! The command line: `prescale up` runs all services in one process; the other verbs look at the
//! configuration, the topics, the records and the decisions.

pub mod account;
pub mod acls;
pub mod backtest;
pub mod bus_commands;
pub mod check_config;
pub mod cli;
pub mod dead_letters;
pub mod explain;
pub mod health;
pub mod models;
pub mod settings;
pub mod topics;
pub mod up;
