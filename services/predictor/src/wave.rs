//! The models over many series at once: each with as many steps one after another as it has bins to
//! go through, those of different series side by side. A series' result does not depend on the others.

use crate::job::{Job, Run, as_kept};
use crate::lineup::ModelId;
use crate::network::Network;
use metrics::counter;
use prescale_domain::forecast::features::FEATURES;
use prescale_inference::{Kind, StepOutput};

/// Room to work in.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    x: Vec<f32>,
    past: Vec<f32>,
    /// The job of each row, and which of its runs.
    active: Vec<(usize, usize)>,
    output: StepOutput,
}

/// Runs all steps of all jobs by one model. A series whose numbers are not finite any more starts with a
/// state of zeros again.
///
/// # Errors
/// When the runtime fails.
pub fn run(model: ModelId, network: &Network, jobs: &mut [Job], buffers: &mut Buffers) -> anyhow::Result<()> {
    match network.kind() {
        Kind::Stateful { state_size } => run_stateful(model, state_size, network, jobs, buffers),
        Kind::Windowed { bins } => run_windowed(model, bins, network, jobs, buffers),
    }
}

fn run_stateful(
    model: ModelId,
    state_size: usize,
    network: &Network,
    jobs: &mut [Job],
    buffers: &mut Buffers,
) -> anyhow::Result<()> {
    let row_len = network.quantiles_per_row();
    for run in jobs.iter_mut().flat_map(|job| &mut job.runs).filter(|run| run.model == model) {
        run.carried.iter_mut().for_each(|carried| carried.closed.resize(state_size, 0.0));
    }
    for nth in 0.. {
        buffers.gather(jobs, model, |job, run| {
            Some((job.rows.get(run.first_row + nth)?, run.carried.as_ref()?.closed.as_slice()))
        });
        if buffers.active.is_empty() {
            return Ok(());
        }
        network.step(&buffers.x, &buffers.past, &mut buffers.output)?;
        let output = &buffers.output;
        let rows = output.q.chunks(row_len).zip(output.h_out.chunks(state_size)).zip(&output.finite);
        for ((job, run), ((q, h_out), is_finite)) in buffers.active.iter().zip(rows) {
            let Job { rows, runs, .. } = &mut jobs[*job];
            let run = &mut runs[*run];
            let state = if *is_finite { h_out.to_vec() } else { vec![0.0; state_size] };
            if !is_finite {
                counter!("prescale_predictor_network_resets_total", "family" => model.family.name()).increment(1);
            }
            let Some(carried) = &mut run.carried else { continue };
            if run.first_row + nth + 1 == rows.len() {
                carried.open = state;
                run.quantiles = is_finite.then(|| q.to_vec());
            } else {
                carried.closed = as_kept(&state);
            }
        }
    }
    Ok(())
}

fn run_windowed(
    model: ModelId,
    bins: usize,
    network: &Network,
    jobs: &mut [Job],
    buffers: &mut Buffers,
) -> anyhow::Result<()> {
    buffers.gather(jobs, model, |job, _| {
        let window = &job.window;
        Some((job.rows.last()?, window.get(window.len().checked_sub(bins)?..)?))
    });
    if buffers.active.is_empty() {
        return Ok(());
    }
    let row_len = network.quantiles_per_row();
    network.step(&buffers.x, &buffers.past, &mut buffers.output)?;
    let output = &buffers.output;
    for ((job, run), (q, is_finite)) in buffers.active.iter().zip(output.q.chunks(row_len).zip(&output.finite)) {
        jobs[*job].runs[*run].quantiles = is_finite.then(|| q.to_vec());
    }
    Ok(())
}

impl Buffers {
    /// Lays side by side what each job has for the model: features and past.
    fn gather<'j>(
        &mut self,
        jobs: &'j [Job],
        model: ModelId,
        input: impl Fn(&'j Job, &'j Run) -> Option<(&'j [f32; FEATURES], &'j [f32])>,
    ) {
        self.x.clear();
        self.past.clear();
        self.active.clear();
        for (i, job) in jobs.iter().enumerate() {
            let Some(nth) = job.runs.iter().position(|run| run.model == model) else { continue };
            let Some((row, past)) = input(job, &job.runs[nth]) else { continue };
            self.x.extend_from_slice(row);
            self.past.extend_from_slice(past);
            self.active.push((i, nth));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::job::Carried;
    use crate::lineup::FROM_THE_BEGINNING;
    use prescale_domain::forecast::Family;
    use prescale_inference::testing::Formula;

    const GRU: ModelId = ModelId::in_use(Family::Gru, FROM_THE_BEGINNING);
    const SVR: ModelId = ModelId::in_use(Family::Svr, FROM_THE_BEGINNING);

    fn job(rows: usize, seed: f32) -> Job {
        let row = |i: usize| std::array::from_fn(|j| (seed * (1 + i * FEATURES + j) as f32).sin());
        let window = (0..24u8).map(|i| (seed * f32::from(i)).cos()).collect();
        let run = |(model, carried)| Run { model, serves: true, first_row: 0, carried, quantiles: None };
        let runs = [(GRU, Some(Carried::default())), (SVR, None)].map(run).to_vec();
        Job { rows: (0..rows).map(row).collect(), window, scale: 1.0, runs }
    }

    /// The GRU, and a windowed model.
    fn networks() -> Vec<Network> {
        let folder = tempfile::tempdir().unwrap();
        Formula::new("svr", "1", Kind::Windowed { bins: 12 }).contents().write(folder.path()).unwrap();
        let config = Config {
            models: vec!["gru".to_owned(), "svr".to_owned()],
            model_folders: [("svr".to_owned(), folder.path().to_owned())].into(),
            ..Config::default()
        };
        Network::load_bases(&config.settings().unwrap()).unwrap().into_values().collect()
    }

    fn run_all(networks: &[Network], jobs: &mut [Job]) {
        for (model, network) in [GRU, SVR].into_iter().zip(networks) {
            run(model, network, jobs, &mut Buffers::default()).unwrap();
        }
    }

    #[test]
    fn a_series_result_is_the_same_alone_and_among_others() {
        let networks = networks();
        let mut together: Vec<Job> = (0..70usize).map(|i| job(i % 4, 0.1 + i as f32)).collect();
        let mut alone = together.clone();
        run_all(&networks, &mut together);
        for job in &mut alone {
            run_all(&networks, std::slice::from_mut(job));
        }
        assert_eq!(together, alone);
        assert!(together[0].runs.iter().all(|run| run.quantiles.is_none()));
        assert!(together[1].runs.iter().all(|run| run.quantiles.is_some()));
        let newest = together[1].window[23];
        assert!((together[1].runs[1].quantiles.as_ref().unwrap()[3] - newest).abs() < 1e-6);
    }

    #[test]
    fn numbers_that_are_not_finite_stop_at_the_series_that_has_them() {
        let networks = networks();
        let mut jobs = vec![job(2, 0.3), job(2, 0.7)];
        let mut wanted = jobs[1].clone();
        jobs[0].rows[1][4] = f32::NAN;
        run_all(&networks, &mut jobs);
        run_all(&networks, std::slice::from_mut(&mut wanted));
        assert_eq!(jobs[1], wanted);
        assert!(jobs[0].runs.iter().all(|run| run.quantiles.is_none()));
        let carried = jobs[0].runs[0].carried.as_ref().unwrap();
        assert!(carried.open.iter().all(|h| *h == 0.0));
        assert!(carried.closed.iter().any(|h| *h != 0.0));
    }
}
