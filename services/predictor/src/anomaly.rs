//! How unusual a workload is: what its KPIs say and how far its forecasts were off, as one.

use crate::series::Series;
use prescale_domain::anomaly::{ANOMALY_P_MAX, AnomalyScore, BLAMED_MAX, combined};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::kpi::KpiName;

/// What has a greater p-value names no KPIs to blame beside what has the smallest.
const BLAMED_P_MAX: f32 = 0.05;

/// Of a fingerprint with features and its series, each with its resource: the p-values combined, and the KPIs to blame,
/// those of the smallest p-value first. `None` between the closes of bins, and where nothing is known.
pub(crate) fn of<'a>(
    fingerprint: &Fingerprint,
    series: impl Iterator<Item = (&'a KpiName, &'a Series)>,
) -> Option<AnomalyScore> {
    if !fingerprint.has_features() {
        return None;
    }
    let residuals = series.filter_map(|(kpi, series)| Some((series.residual_p_value()?, std::slice::from_ref(kpi))));
    let of_kpis = fingerprint.anomaly.iter().map(|anomaly| (anomaly.p_value, &*anomaly.kpis));
    joined(of_kpis.chain(residuals).collect())
}

/// The bin of the grid in which a KPI is to blame for an anomaly, by what a fingerprint says; `None` where there is none.
pub(crate) fn unusual_bin(fingerprint: &Fingerprint, kpi: &KpiName) -> Option<i64> {
    let score = fingerprint.anomaly.as_ref()?;
    let bin = fingerprint.at.bin(GRID_STEP_S);
    // Features come with the last sample of a bin, or with the first behind it.
    let is_last = fingerprint.at.plus_s(i64::from(fingerprint.step_s)).bin(GRID_STEP_S) > bin;
    let is_to_blame = f64::from(score.p_value) < ANOMALY_P_MAX && score.kpis.contains(kpi);
    is_to_blame.then_some(if is_last { bin } else { bin - 1 })
}

/// Of p-values, each with the KPIs to blame.
fn joined(mut found: Vec<(f32, &[KpiName])>) -> Option<AnomalyScore> {
    let p_values: Vec<f64> = found.iter().map(|(p_value, _)| f64::from(*p_value)).collect();
    let p_value = combined(&p_values)? as f32;
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut kpis: Vec<KpiName> = Vec::with_capacity(BLAMED_MAX);
    let is_to_blame = |(place, of): &(usize, (f32, &[KpiName]))| *place == 0 || of.0 <= BLAMED_P_MAX;
    for kpi in found.into_iter().enumerate().filter(is_to_blame).flat_map(|(_, (_, kpis))| kpis) {
        if kpis.len() < BLAMED_MAX && !kpis.contains(kpi) {
            kpis.push(kpi.clone());
        }
    }
    Some(AnomalyScore { p_value, kpis })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::tests::fingerprint;
    use prescale_domain::time::EventTime;

    #[test]
    fn it_is_what_the_kpis_say_where_no_forecast_was_scored_and_nothing_between_the_closes_of_bins() {
        let mut closing = fingerprint("vm-1", 300, [Some(1.0), Some(1e9)]);
        assert_eq!(of(&closing, std::iter::empty()), None);
        let score = AnomalyScore { p_value: 0.25, kpis: vec![KpiName::new("cpu_cores_used")] };
        closing.anomaly = Some(score.clone());
        let (kpi, series) = (KpiName::new("memory_bytes"), Series::default());
        assert_eq!(of(&closing, [(&kpi, &series)].into_iter()), Some(score));
        closing.kpis.iter_mut().for_each(|kpi| kpi.windows = None);
        assert_eq!(of(&closing, std::iter::empty()), None);
    }

    #[test]
    fn an_anomaly_is_of_the_bin_that_is_over_and_of_the_kpis_to_blame() {
        let mut closing = fingerprint("vm-1", 600, [Some(1.0), Some(1e9)]);
        let [cpu, memory] = ["cpu_cores_used", "memory_bytes"].map(KpiName::new);
        let mut of = |at_s: i64, step_s: u32, p_value: f32, kpi: &KpiName| {
            closing.anomaly = Some(AnomalyScore { p_value, kpis: vec![cpu.clone()] });
            (closing.at, closing.step_s) = (EventTime::from_s(at_s), step_s);
            unusual_bin(&closing, kpi)
        };
        assert_eq!(of(600, 300, 1e-4, &cpu), Some(2));
        assert_eq!(of(840, 60, 1e-4, &cpu), Some(2));
        assert_eq!(of(900, 60, 1e-4, &cpu), Some(2), "the last sample of the bin was missing");
        assert_eq!(of(600, 300, 0.01, &cpu), None);
        assert_eq!(of(600, 300, 1e-4, &memory), None);
    }

    #[test]
    fn only_what_is_unusual_is_to_blame_beside_the_first() {
        let [cpu, memory, latency] = ["cpu_cores_used", "memory_bytes", "latency_ms"].map(|kpi| [KpiName::new(kpi)]);
        let blamed = |found: Vec<(f32, &[KpiName])>| joined(found).unwrap().kpis;
        let all = blamed(vec![(0.01, &latency[..]), (0.9, &memory[..]), (1e-6, &cpu[..])]);
        assert_eq!(all, [cpu[0].clone(), latency[0].clone()]);
        assert_eq!(blamed(vec![(0.9, &cpu[..]), (0.4, &memory[..])]), memory);
        assert_eq!(joined(Vec::new()), None);
    }
}
