//! The network over many series at once: each with as many steps one after another as it has bins to
//! go through, those of different series side by side. A series' result does not depend on the others.

use crate::network::Network;
use crate::series::{Carried, Steps};
use metrics::counter;
use prescale_domain::forecast::features::FEATURES;

/// A series that waits for the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// What is to be done.
    pub steps: Steps,
    /// The network's state: before the steps, and then before and after the last of them.
    pub carried: Carried,
    /// The quantiles of the last step, in units of the scale; `None` before it, without steps, or when
    /// a number was not finite.
    pub quantiles: Option<Vec<f32>>,
}

/// Room to work in.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    x: Vec<f32>,
    h: Vec<f32>,
    active: Vec<usize>,
}

/// Runs all steps of all jobs. A series whose numbers are not finite any more starts with a state of
/// zeros again.
///
/// # Errors
/// When the runtime fails.
pub fn run(network: &mut Network, jobs: &mut [Job], buffers: &mut Buffers) -> anyhow::Result<()> {
    let (state_size, row_len) = (network.state_size(), network.quantiles_per_row());
    for job in jobs.iter_mut().filter(|job| !job.steps.rows.is_empty()) {
        job.carried.closed.resize(state_size, 0.0);
    }
    for nth in 0.. {
        buffers.gather(jobs, nth);
        if buffers.active.is_empty() {
            return Ok(());
        }
        let output = network.step(&buffers.x, &buffers.h)?;
        let rows = output.q.chunks(row_len).zip(output.h_out.chunks(state_size)).zip(&output.finite);
        for (i, ((q, h_out), is_finite)) in buffers.active.iter().zip(rows) {
            let job = &mut jobs[*i];
            let state = if *is_finite { h_out.to_vec() } else { vec![0.0; state_size] };
            if !is_finite {
                counter!("prescale_predictor_network_resets_total").increment(1);
            }
            if nth + 1 < job.steps.rows.len() {
                job.carried.closed = state;
            } else {
                job.carried.open = state;
                job.quantiles = is_finite.then(|| q.to_vec());
            }
        }
    }
    Ok(())
}

impl Buffers {
    fn gather(&mut self, jobs: &[Job], nth: usize) {
        self.x.clear();
        self.h.clear();
        self.active.clear();
        for (i, job) in jobs.iter().enumerate() {
            let Some(row) = job.steps.rows.get(nth) else { continue };
            debug_assert_eq!(row.len(), FEATURES);
            self.x.extend_from_slice(row);
            self.h.extend_from_slice(&job.carried.closed);
            self.active.push(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn job(rows: usize, seed: f32) -> Job {
        let row = |i: usize| std::array::from_fn(|j| (seed * (1 + i * FEATURES + j) as f32).sin());
        let steps = Steps { rows: (0..rows).map(row).collect(), scale: 1.0 };
        Job { steps, carried: Carried::default(), quantiles: None }
    }

    #[test]
    fn a_series_result_is_the_same_alone_and_among_others() {
        let mut network = Network::load(&Config::default().settings().unwrap()).unwrap().unwrap();
        let mut together: Vec<Job> = (0..70usize).map(|i| job(i % 4, 0.1 + i as f32)).collect();
        let mut alone = together.clone();
        run(&mut network, &mut together, &mut Buffers::default()).unwrap();
        for job in &mut alone {
            run(&mut network, std::slice::from_mut(job), &mut Buffers::default()).unwrap();
        }
        assert_eq!(together, alone);
        assert_eq!(together[0].quantiles, None);
        assert!(together[1].quantiles.is_some());
    }

    #[test]
    fn numbers_that_are_not_finite_stop_at_the_series_that_has_them() {
        let mut network = Network::load(&Config::default().settings().unwrap()).unwrap().unwrap();
        let mut jobs = vec![job(2, 0.3), job(2, 0.7)];
        let mut wanted = jobs[1].clone();
        jobs[0].steps.rows[1][4] = f32::NAN;
        run(&mut network, &mut jobs, &mut Buffers::default()).unwrap();
        run(&mut network, std::slice::from_mut(&mut wanted), &mut Buffers::default()).unwrap();
        assert_eq!(jobs[1], wanted);
        assert_eq!(jobs[0].quantiles, None);
        assert!(jobs[0].carried.open.iter().all(|h| *h == 0.0));
        assert!(jobs[0].carried.closed.iter().any(|h| *h != 0.0));
    }
}
