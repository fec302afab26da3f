//! What the field is: KPIs, windows, fingerprints, forecasts, calibration, policies, plans.
//!
//! Everything here is pure: no IO, no clock, no async, and no knowledge of Avro, Kafka, SQLite
//! or ONNX. Time is always a parameter. State types derive `bitcode` so that a stage can keep
//! them in a snapshot; that format is private and never a contract.

pub mod action;
pub mod alarm;
pub mod anomaly;
pub mod calibration;
pub mod cloud;
mod draw;
pub mod evaluation;
pub mod fingerprint;
pub mod fleet;
pub mod forecast;
pub mod forecast_score;
pub mod governor;
pub mod group;
pub mod guardrail;
pub mod incident;
pub mod knob;
pub mod kpi;
pub mod outcome;
mod platform;
pub mod point;
pub mod policy;
pub mod prediction;
pub mod promotion;
pub mod quantiles;
pub mod resource;
pub mod retraining;
pub mod sample;
pub mod scaled;
pub mod score;
pub mod selector;
pub mod slots;
pub mod source;
pub mod stream;
pub mod time;
pub mod window;
mod wording;
pub mod workload;
