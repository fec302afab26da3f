//! Forecasts for those who keep their autoscaler: follows the newest forecast of each workload and the capacity that is
//! planned for it, and serves them to KEDA as an external scaler, and as metrics of Prometheus for whoever feeds a
//! HorizontalPodAutoscaler from those.
//!
//! It only reads. [`message`] is what KEDA and it say to each other; `trigger`, `forecasts`, `answer` and `exposition` say
//! what is answered, apart from HTTP and from the bus; the other modules feed and serve that.

mod answer;
mod calls;
mod clock;
pub mod config;
mod exposition;
mod follow;
mod forecasts;
mod http;
pub mod message;
mod run;
mod server;
mod trigger;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use follow::READS;
pub use run::{run, run_reporting};
