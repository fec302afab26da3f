//! Real clouds: each action is driven until it has its one result.
//!
//! Calls to a cloud cannot be undone with a step of the bus, so what makes them is no stage: a [`session`] reads topic
//! `actions` as part of no group, and writes each result together with how far it has come, as one append of a source.
//! What is to be done is pure. The [`book`] knows of each workload the newest action and answers with the next calls;
//! a [`driver`] says what comes next from what its cloud shows. Nothing here knows a cloud.

pub mod answered;
pub mod book;
pub mod call;
pub mod driver;
pub mod open;
pub mod order;
pub mod outage;
pub mod pace;
pub mod position;
pub mod result;
pub mod session;
pub mod step;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod testing;
