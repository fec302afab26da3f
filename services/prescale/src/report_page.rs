//! What the pages of reports share: their style and their pictures, as SVG.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// Style sheet of a page.
pub(crate) const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;margin:.6rem 0 1.6rem}
th,td{padding:.22rem .6rem;text-align:right;border-bottom:1px solid #d8dde3;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}
.plots{display:flex;flex-wrap:wrap;gap:1rem}
.good{color:#116329;font-weight:600}
.note{color:#59636e}
";

const FONT: &str = "sans-serif";

/// Axes of a picture.
pub(crate) struct Axes {
    pub title: String,
    pub x: &'static str,
    pub y: &'static str,
    pub x_range: (f64, f64),
    pub y_range: (f64, f64),
    pub guide: Guide,
    /// Width and height, in pixels.
    pub size: (u32, u32),
    pub legend: Legend,
}

/// A thin line to compare with.
pub(crate) enum Guide {
    /// From corner to corner of the unit square.
    Diagonal,
    /// At a height of one.
    One,
    /// None.
    Nothing,
}

/// Where the names of the lines are.
pub(crate) enum Legend {
    LowerRight,
    UpperRight,
}

/// A named line.
pub(crate) type Line = (String, Vec<(f64, f64)>);

/// The lines with their points, as SVG.
///
/// # Errors
/// When they cannot be drawn, with the title.
pub(crate) fn drawn(axes: &Axes, lines: Vec<Line>) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, axes, lines).map_err(|problem| anyhow!("cannot draw {:?}: {problem}", axes.title))?;
    Ok(svg)
}

fn draw(svg: &mut String, axes: &Axes, lines: Vec<Line>) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, axes.size).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(&axes.title, (FONT, 15))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(axes.x_range.0..axes.x_range.1, axes.y_range.0..axes.y_range.1)?;
    chart.configure_mesh().x_desc(axes.x).y_desc(axes.y).light_line_style(WHITE).draw()?;
    let grey = BLACK.mix(0.4);
    match axes.guide {
        Guide::Diagonal => chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], grey)).map(|_| ())?,
        Guide::One => {
            chart.draw_series(LineSeries::new([(axes.x_range.0, 1.0), (axes.x_range.1, 1.0)], grey)).map(|_| ())?;
        }
        Guide::Nothing => {}
    }
    for (i, (name, points)) in lines.into_iter().enumerate() {
        let color = Palette99::pick(i).to_rgba();
        let line = LineSeries::new(points, color.stroke_width(2)).point_size(3);
        chart.draw_series(line)?.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
    }
    let place = match axes.legend {
        Legend::LowerRight => SeriesLabelPosition::LowerRight,
        Legend::UpperRight => SeriesLabelPosition::UpperRight,
    };
    chart.configure_series_labels().position(place).background_style(WHITE.mix(0.8)).draw()?;
    area.present()?;
    Ok(())
}
