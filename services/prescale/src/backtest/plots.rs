//! The report's pictures, as SVG.

use super::report::{Figures, Report, is_configured};
use crate::report_page::{Axes, Guide, Legend, drawn};
use anyhow::Result;

const SIZE: (u32, u32) = (460, 320);

/// Reliability: per quantile level the share of truths below it, for each horizon of the predictor as it is
/// configured. On the diagonal is right (Gneiting, Balabdaoui, Raftery 2007, "Probabilistic forecasts,
/// calibration and sharpness").
pub(super) fn reliability(report: &Report, kpi: &str, statistic: &str) -> Result<String> {
    let own = |f: &&Figures| is_configured(&f.contender) && f.kpi == kpi && f.statistic == statistic;
    let lines = report.figures.iter().filter(own).map(|f| {
        let points = f.quantiles.iter().map(|q| (q.level, q.share_below)).collect();
        (horizon(f.horizon_s), points)
    });
    let axes = Axes {
        title: "Truths below each quantile".to_owned(),
        x: "level",
        y: "share",
        x_range: (0.0, 1.0),
        y_range: (0.0, 1.0),
        guide: Guide::Diagonal,
        size: SIZE,
        legend: Legend::LowerRight,
    };
    drawn(&axes, lines.collect())
}

/// Relative CRPS of every contender over the horizons.
pub(super) fn relative(report: &Report, kpi: &str, statistic: &str, baseline: &str) -> Result<String> {
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for contender in report.contenders.iter().filter(|name| *name != baseline) {
        let own = |f: &&Figures| f.contender == *contender && f.kpi == kpi && f.statistic == statistic;
        let point = |f: &Figures| Some((f64::from(f.horizon_s) / 60.0, f.relative.get(baseline)?.scaled));
        let points: Vec<_> = report.figures.iter().filter(own).filter_map(point).collect();
        lines.push((contender.clone(), points));
    }
    let every = || lines.iter().flat_map(|(_, points)| points);
    let most = |of: fn(&(f64, f64)) -> f64| every().map(of).fold(0.0, f64::max);
    let axes = Axes {
        title: "CRPS relative to seasonal naive".to_owned(),
        x: "horizon, min",
        y: "ratio",
        x_range: (0.0, most(|p| p.0) * 1.05),
        y_range: (0.0, (most(|p| p.1) * 1.1).clamp(1.1, 4.0)),
        guide: Guide::One,
        size: SIZE,
        legend: Legend::LowerRight,
    };
    drawn(&axes, lines)
}

fn horizon(horizon_s: u32) -> String {
    format!("{} min", horizon_s / 60)
}
