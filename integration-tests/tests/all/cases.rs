//! Behaviour cases: series for which autoscalers have misbehaved, through the whole pipeline.
//!
//! Each case is a kind: its module generates several of the kind (other levels, times, lengths) and says what is
//! right of each. Those of one step go through one run.

mod constant_and_idle;
mod finite;
mod hourly_job;
mod hundredths_of_percent;
mod leak_and_restart;
mod missing_scrapes;
mod nightly_peaks;
mod overload_after_many_decreases;
mod run;
mod series;
mod startup_spike;
mod underflow_spikes;
mod upstream_outage;
