//! The report's pictures, as SVG.

use super::report::{Figures, Report, is_configured};
use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (460, 320);
const FONT: &str = "sans-serif";

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
        title: "Truths below each quantile",
        x: "level",
        y: "share",
        x_range: (0.0, 1.0),
        y_range: (0.0, 1.0),
        diagonal: true,
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
        title: "CRPS relative to seasonal naive",
        x: "horizon, min",
        y: "ratio",
        x_range: (0.0, most(|p| p.0) * 1.05),
        y_range: (0.0, (most(|p| p.1) * 1.1).clamp(1.1, 4.0)),
        diagonal: false,
    };
    drawn(&axes, lines)
}

struct Axes {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    x_range: (f64, f64),
    y_range: (f64, f64),
    diagonal: bool,
}

fn horizon(horizon_s: u32) -> String {
    format!("{} min", horizon_s / 60)
}

fn drawn(axes: &Axes, lines: Vec<(String, Vec<(f64, f64)>)>) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, axes, lines).map_err(|problem| anyhow!("cannot draw {:?}: {problem}", axes.title))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    axes: &Axes,
    lines: Vec<(String, Vec<(f64, f64)>)>,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(axes.title, (FONT, 15))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(axes.x_range.0..axes.x_range.1, axes.y_range.0..axes.y_range.1)?;
    chart.configure_mesh().x_desc(axes.x).y_desc(axes.y).light_line_style(WHITE).draw()?;
    let grey = BLACK.mix(0.4);
    if axes.diagonal {
        chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], grey))?;
    } else {
        chart.draw_series(LineSeries::new([(axes.x_range.0, 1.0), (axes.x_range.1, 1.0)], grey))?;
    }
    for (i, (name, points)) in lines.into_iter().enumerate() {
        let color = Palette99::pick(i).to_rgba();
        let line = LineSeries::new(points, color.stroke_width(2)).point_size(3);
        chart.draw_series(line)?.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    area.present()?;
    Ok(())
}
