//! `merge_quantiles(histogram, min, max)`: p50, p90, p95 and p99, within
//! [`prescale_domain::window::log_histogram::RELATIVE_ERROR_MAX`] and never outside min and max.

use super::merge::Mergeable;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float64Type};
use datafusion::common::Result;
use prescale_domain::window::log_histogram::{LogHistogram, quantiles};
use std::sync::Arc;

/// A histogram, with the range of its values.
#[derive(Clone, Debug, Default)]
pub struct Quantiles {
    histogram: Vec<u8>,
    range: Option<(f64, f64)>,
}

const RESULTS: [&str; 4] = ["p50", "p90", "p95", "p99"];
const RANKS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

impl Quantiles {
    fn merge(&mut self, histogram: &[u8], min: f64, max: f64) {
        if self.histogram.is_empty() {
            self.histogram.extend_from_slice(histogram);
        } else {
            self.histogram = LogHistogram::merged(&[&self.histogram, histogram]).as_bytes().to_vec();
        }
        self.range = Some(self.range.map_or((min, max), |(low, high)| (low.min(min), high.max(max))));
    }

    fn values(&self) -> Option<[f64; RANKS.len()]> {
        let (min, max) = self.range?;
        Some(quantiles(&[&self.histogram], RANKS)?.map(|value| value.max(min).min(max)))
    }
}

impl Mergeable for Quantiles {
    const NAME: &'static str = "merge_quantiles";

    fn arguments() -> Vec<DataType> {
        vec![DataType::Binary, DataType::Float64, DataType::Float64]
    }

    fn results() -> Fields {
        RESULTS.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect()
    }

    fn merge_rows(
        groups: &mut [Self],
        arguments: &[ArrayRef],
        group_of: impl Fn(usize) -> Option<usize>,
    ) -> Result<()> {
        let histograms: &BinaryArray = arguments[0].as_binary();
        let (min, max) = (arguments[1].as_primitive::<Float64Type>(), arguments[2].as_primitive::<Float64Type>());
        for row in 0..histograms.len() {
            let Some(group) = group_of(row) else { continue };
            let is_empty = histograms.is_null(row) || min.is_null(row) || max.is_null(row);
            if !is_empty && !histograms.value(row).is_empty() {
                groups[group].merge(histograms.value(row), min.value(row), max.value(row));
            }
        }
        Ok(())
    }

    fn state(groups: &[Self]) -> Result<Vec<ArrayRef>> {
        let histograms: BinaryArray = groups.iter().map(|g| Some(g.histogram.as_slice())).collect();
        let edge = |of: fn((f64, f64)) -> f64| -> ArrayRef {
            Arc::new(groups.iter().map(|g| g.range.map(of)).collect::<Float64Array>())
        };
        Ok(vec![Arc::new(histograms), edge(|(min, _)| min), edge(|(_, max)| max)])
    }

    fn evaluate(groups: &[Self]) -> Result<ArrayRef> {
        let values: Vec<_> = groups.iter().map(Self::values).collect();
        let column =
            |rank: usize| -> ArrayRef { Arc::new(values.iter().map(|v| v.map(|v| v[rank])).collect::<Float64Array>()) };
        Ok(Arc::new(StructArray::try_new(Self::results(), (0..RANKS.len()).map(column).collect(), None)?))
    }

    fn heap_bytes(&self) -> usize {
        self.histogram.capacity()
    }
}
