//! What is remembered of one workload: its windows, how far its features were told, and how unusual it is.

use bitcode::{Decode, Encode};
use prescale_domain::anomaly::{Close, Detector, Found, KPIS_MAX, Value};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::time::EventTime;
use prescale_domain::window::WindowSettings;
use prescale_domain::window::closing::Closing;
use prescale_domain::window::fourier::Workspace;
use prescale_domain::window::workload_windows::{GridSample, KpiTable, WorkloadWindows};

/// What is remembered of one workload.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Followed {
    windows: WorkloadWindows,
    closing: Closing,
    detector: Detector,
}

/// Memory that is used for one workload after the other.
#[derive(Default)]
pub struct Scratch {
    workspace: Workspace,
    values: Vec<Value>,
}

impl Followed {
    /// Takes in the workload's next sample. Says whether features are due, and with them [`Self::score`].
    pub fn record(
        &mut self,
        settings: &WindowSettings,
        sample: GridSample<'_>,
        kpis: &mut KpiTable,
        scratch: &mut Scratch,
    ) -> bool {
        self.windows.record(settings, sample, kpis, &mut scratch.workspace);
        let known = self.windows.kpis().iter().take(KPIS_MAX);
        scratch.values.extend(known.map(|kpi| Value { kpi: kpi.number, value: kpi.last }));
        self.detector.add(&scratch.values);
        scratch.values.clear();
        self.closing.is_due(sample.at, sample.step_s, GRID_STEP_S)
    }

    /// How unusual the workload was since features were due before, with the sample that makes them due: its instant and its
    /// step in seconds. KPIs to blame are numbers of the table.
    pub fn score(&mut self, at: EventTime, step_s: u32) -> Option<Found> {
        self.detector.close(Close { at, bin_s: step_s.max(GRID_STEP_S) })
    }

    /// The windows.
    pub fn windows(&self) -> &WorkloadWindows {
        &self.windows
    }

    /// Bytes on the heap, without what the allocator adds.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.windows.heap_bytes() + self.detector.heap_bytes()
    }

    /// Makes features due with the next sample.
    #[cfg(test)]
    pub(crate) fn tell_next(&mut self) {
        self.closing = Closing::default();
    }
}
