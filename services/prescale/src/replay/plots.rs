//! The report's pictures, as SVG.

use super::report::{Line, Report};
use super::table::minutes;
use crate::report_page::{self, Axes, Guide, Legend, drawn};
use anyhow::Result;

const SIZE: (u32, u32) = (590, 420);

/// What is shown of the trade reaches so many times the baseline's.
const REACH: (f64, f64) = (2.5, 4.0);

/// A picture and the name of its file.
pub(super) type Picture = (String, String);

/// What is traded with a lead time: time short and unmet demand, against capacity to spare. Each is a whole SVG with a
/// white ground.
///
/// # Errors
/// When one cannot be drawn.
pub(super) fn trades(report: &Report, lead_s: u32) -> Result<[Picture; 2]> {
    let lead = if lead_s.is_multiple_of(60) { format!("{}m", lead_s / 60) } else { format!("{lead_s}s") };
    Ok([
        (format!("tradeoff-{lead}.svg"), trade(report, lead_s, "Time short", |line| line.time_short)?),
        (format!("tradeoff-unmet-{lead}.svg"), trade(report, lead_s, "Unmet demand", |line| line.unmet)?),
    ])
}

/// The trade between capacity to spare and what is short (a share), a line for each policy over its knob. What is
/// far from the baseline is left out.
fn trade(report: &Report, lead_s: u32, name: &'static str, short: fn(&Line) -> f64) -> Result<String> {
    let own: Vec<&Line> = report.lines.iter().filter(|line| line.lead_time_s == lead_s).collect();
    let baseline = own.iter().find(|line| line.policy == report.baseline);
    let (over, least) = baseline.map_or((1.0, 0.01), |line| (line.over, short(line)));
    let (x_max, y_max) = ((REACH.0 * over).max(0.1), (100.0 * REACH.1 * least).max(0.1));
    let mut lines: Vec<report_page::Line> = Vec::new();
    for line in own {
        let point = (line.over, 100.0 * short(line));
        if point.0 > x_max || point.1 > y_max {
            continue;
        }
        match lines.iter_mut().find(|(name, _)| *name == line.name) {
            Some((_, points)) => points.push(point),
            None => lines.push((line.name.clone(), vec![point])),
        }
    }
    lines.iter_mut().for_each(|(_, points)| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    let axes = Axes {
        title: format!("{name} against capacity to spare, lead time {}", minutes(lead_s)),
        x: "over, of the demand",
        y: "%",
        x_range: (0.0, x_max),
        y_range: (0.0, y_max),
        guide: Guide::Nothing,
        size: SIZE,
        legend: Legend::UpperRight,
    };
    drawn(&axes, lines)
}

/// Workloads' losses by the baseline's, in order: how many win, and how many lose.
pub(super) fn winners(report: &Report, lead_s: u32) -> Result<String> {
    let is_shown =
        |line: &&Line| line.lead_time_s == lead_s && line.policy == line.name && line.policy != report.baseline;
    let lines = report.lines.iter().filter(is_shown).map(|line| {
        let ratios = &line.relative.loss_ratios;
        let share = |i: usize| 100.0 * i as f64 / (ratios.len().max(2) - 1) as f64;
        let points = ratios.iter().enumerate().map(|(i, ratio)| (share(i), *ratio)).filter(|(_, ratio)| *ratio <= 2.0);
        (line.policy.clone(), points.collect())
    });
    let axes = Axes {
        title: format!("Workloads' losses by the baseline's, lead time {}", minutes(lead_s)),
        x: "workloads, %, the greatest winners first",
        y: "ratio",
        x_range: (0.0, 100.0),
        y_range: (0.0, 2.0),
        guide: Guide::One,
        size: SIZE,
        legend: Legend::LowerRight,
    };
    drawn(&axes, lines.collect())
}
