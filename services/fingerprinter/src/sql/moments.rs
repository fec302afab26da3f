//! `merge_moments(count, t_mean_h, mean, t_m2, m2, t_y)`: mean, deviation and linear trend.

use super::merge::Mergeable;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float64Type};
use datafusion::common::Result;
use prescale_domain::window::co_moments::CoMoments;
use std::sync::Arc;

/// Co-moments of (hours since the epoch, value).
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments(CoMoments);

const RESULTS: [&str; 6] = ["mean", "std_dev", "m2", "trend_per_h", "trend_std_err", "trend_r2"];

impl Mergeable for Moments {
    const NAME: &'static str = "merge_moments";

    fn arguments() -> Vec<DataType> {
        vec![DataType::Float64; 6]
    }

    fn results() -> Fields {
        RESULTS.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect()
    }

    fn merge_rows(
        groups: &mut [Self],
        arguments: &[ArrayRef],
        group_of: impl Fn(usize) -> Option<usize>,
    ) -> Result<()> {
        let columns: Vec<&Float64Array> = arguments.iter().map(|c| c.as_primitive::<Float64Type>()).collect();
        let value =
            |column: usize, row: usize| if columns[column].is_valid(row) { columns[column].value(row) } else { 0.0 };
        for row in 0..columns[0].len() {
            let Some(group) = group_of(row) else { continue };
            groups[group].0.merge(&CoMoments {
                count: value(0, row) as u64,
                x_mean: value(1, row),
                y_mean: value(2, row),
                x_m2: value(3, row),
                y_m2: value(4, row),
                xy: value(5, row),
            });
        }
        Ok(())
    }

    fn state(groups: &[Self]) -> Result<Vec<ArrayRef>> {
        let column = |of: fn(&CoMoments) -> f64| -> ArrayRef {
            Arc::new(groups.iter().map(|group| Some(of(&group.0))).collect::<Float64Array>())
        };
        Ok(vec![
            column(|m| m.count as f64),
            column(|m| m.x_mean),
            column(|m| m.y_mean),
            column(|m| m.x_m2),
            column(|m| m.y_m2),
            column(|m| m.xy),
        ])
    }

    fn evaluate(groups: &[Self]) -> Result<ArrayRef> {
        let lines: Vec<_> = groups.iter().map(|group| group.0.line()).collect();
        let moments = |of: fn(&CoMoments) -> Option<f64>| -> ArrayRef {
            Arc::new(groups.iter().map(|group| of(&group.0)).collect::<Float64Array>())
        };
        let columns = vec![
            moments(CoMoments::mean),
            moments(CoMoments::std_dev),
            moments(|m| (m.count > 0).then_some(m.y_m2)),
            Arc::new(lines.iter().map(|line| line.map(|l| l.slope)).collect::<Float64Array>()),
            Arc::new(lines.iter().map(|line| line.and_then(|l| l.slope_std_err)).collect::<Float64Array>()),
            Arc::new(lines.iter().map(|line| line.and_then(|l| l.r2)).collect::<Float64Array>()),
        ];
        Ok(Arc::new(StructArray::try_new(Self::results(), columns, None)?))
    }
}
