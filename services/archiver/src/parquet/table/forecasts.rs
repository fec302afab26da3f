//! The tables of predictions: of workloads, and of groups.

use super::{Rows, Subject, SubjectBuilders, Tabular, UTC, capped, count, instant, number, text};
use anyhow::Result;
use arrow::array::{ArrayRef, Float64Builder, Int32Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use prescale_domain::calibration::Statistic;
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::group::GroupPrediction;
use prescale_domain::prediction::{Interval, Prediction, ResourceForecast};
use prescale_domain::quantiles::{LEVELS, QUANTILE_LEVELS, Quantiles};
use std::sync::Arc;

impl Tabular for Prediction {
    type Rows = PredictionRows;

    fn stream(&self) -> &str {
        &self.source
    }

    fn rows(&self) -> usize {
        rows_of(&self.resources)
    }
}

impl Tabular for GroupPrediction {
    type Rows = GroupRows;
    const SUBJECT: &'static str = "group";

    /// Members may be of several sources, so each group goes on by itself.
    fn stream(&self) -> &str {
        self.group.as_str()
    }

    fn rows(&self) -> usize {
        rows_of(&self.resources)
    }
}

fn rows_of(resources: &[ResourceForecast]) -> usize {
    Statistic::ALL.len() * resources.iter().map(|r| r.horizons.len()).sum::<usize>()
}

/// A horizon's statistic with its numbers.
type OfStatistic<'a> = (Statistic, &'a Quantiles, &'a Interval);

/// Calls `row` for each row that forecasts have.
fn each_row<'a>(resources: &'a [ResourceForecast], mut row: impl FnMut(&'a ResourceForecast, u32, OfStatistic<'a>)) {
    for forecast in resources {
        for horizon in &forecast.horizons {
            for statistic in horizon.statistics() {
                row(forecast, horizon.horizon_s, statistic);
            }
        }
    }
}

/// What a row says of a forecast.
#[derive(Default)]
struct ForecastBuilders {
    horizon_s: Int32Builder,
    statistic: StringBuilder,
    quantiles: [Float64Builder; LEVELS],
    nominal_coverage: Float64Builder,
    lower: Float64Builder,
    upper: Float64Builder,
    trailing_coverage: Float64Builder,
    scored: Int32Builder,
    model: StringBuilder,
    model_version: StringBuilder,
    drift: StringBuilder,
}

impl ForecastBuilders {
    fn fields() -> Vec<Field> {
        let mut fields = vec![count("horizon_s"), text("statistic")];
        fields.extend(QUANTILE_LEVELS.iter().map(|level| number(format!("q{:02.0}", level * 100.0))));
        fields.extend(["nominal_coverage", "lower", "upper", "trailing_coverage"].map(number));
        fields.extend([count("scored"), text("model"), text("model_version")]);
        fields.push(Field::new("drift", DataType::Utf8, true));
        fields
    }

    fn append(
        &mut self,
        forecast: &ResourceForecast,
        horizon_s: u32,
        (statistic, quantiles, interval): OfStatistic<'_>,
    ) {
        self.horizon_s.append_value(capped(horizon_s));
        self.statistic.append_value(statistic.name());
        for (column, value) in self.quantiles.iter_mut().zip(quantiles.values()) {
            column.append_value(*value);
        }
        self.nominal_coverage.append_value(interval.nominal_coverage);
        self.lower.append_value(interval.lower);
        self.upper.append_value(interval.upper);
        self.trailing_coverage.append_option(interval.trailing_coverage);
        self.scored.append_value(capped(interval.scored));
        self.model.append_value(&forecast.model);
        self.model_version.append_value(&forecast.model_version);
        self.drift.append_option(forecast.drift.map(DriftState::name));
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.horizon_s.finish()), Arc::new(self.statistic.finish())];
        columns.extend(self.quantiles.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(self.nominal_coverage.finish()));
        columns.push(Arc::new(self.lower.finish()));
        columns.push(Arc::new(self.upper.finish()));
        columns.push(Arc::new(self.trailing_coverage.finish()));
        columns.push(Arc::new(self.scored.finish()));
        columns.push(Arc::new(self.model.finish()));
        columns.push(Arc::new(self.model_version.finish()));
        columns.push(Arc::new(self.drift.finish()));
        columns
    }
}

/// The table of workloads' predictions.
#[derive(Default)]
pub(crate) struct PredictionRows {
    subject: SubjectBuilders,
    forecast: ForecastBuilders,
}

impl Rows<Prediction> for PredictionRows {
    fn learn(&mut self, _: &Prediction) {}

    fn schema(&self) -> SchemaRef {
        let mut fields = SubjectBuilders::fields("resource");
        fields.extend(ForecastBuilders::fields());
        Arc::new(Schema::new(fields))
    }

    fn append(&mut self, p: &Prediction) {
        each_row(&p.resources, |forecast, horizon_s, statistic| {
            self.subject.append(&Subject {
                workload: &p.workload,
                source: &p.source,
                at: p.made_at,
                step_s: p.step_s,
                kpi: &forecast.resource,
                unit: &forecast.unit,
                last: forecast.last,
                capacity: p.capacity.as_ref(),
            });
            self.forecast.append(forecast, horizon_s, statistic);
        });
    }

    fn len(&self) -> usize {
        self.subject.rows
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let mut columns = self.subject.finish();
        columns.extend(self.forecast.finish());
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// The table of groups' predictions.
#[derive(Default)]
pub(crate) struct GroupRows {
    rows: usize,
    group: StringBuilder,
    at: TimestampMillisecondBuilder,
    reported: Int32Builder,
    carried: Int32Builder,
    resource: StringBuilder,
    unit: StringBuilder,
    last: Float64Builder,
    forecast: ForecastBuilders,
}

impl Rows<GroupPrediction> for GroupRows {
    fn learn(&mut self, _: &GroupPrediction) {}

    fn schema(&self) -> SchemaRef {
        let mut fields = vec![text(GroupPrediction::SUBJECT), instant("at"), count("reported"), count("carried")];
        fields.extend([text("resource"), text("unit"), number("last")]);
        fields.extend(ForecastBuilders::fields());
        Arc::new(Schema::new(fields))
    }

    fn append(&mut self, p: &GroupPrediction) {
        each_row(&p.resources, |forecast, horizon_s, statistic| {
            self.rows += 1;
            self.group.append_value(p.group.as_str());
            self.at.append_value(p.made_at.as_ms());
            self.reported.append_value(capped(p.members.reported));
            self.carried.append_value(capped(p.members.carried));
            self.resource.append_value(forecast.resource.as_str());
            self.unit.append_value(&forecast.unit);
            self.last.append_option(forecast.last);
            self.forecast.append(forecast, horizon_s, statistic);
        });
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        self.rows = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.group.finish()),
            Arc::new(self.at.finish().with_timezone(UTC)),
            Arc::new(self.reported.finish()),
            Arc::new(self.carried.finish()),
            Arc::new(self.resource.finish()),
            Arc::new(self.unit.finish()),
            Arc::new(self.last.finish()),
        ];
        columns.extend(self.forecast.finish());
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::group_prediction;
    use arrow::array::AsArray as _;
    use arrow::datatypes::{Float64Type, Int32Type};

    #[test]
    fn a_group_is_a_row_for_each_resource_horizon_and_statistic() {
        let prediction = group_prediction("web", 60);
        let mut rows = GroupRows::default();
        rows.append(&prediction);
        assert_eq!((rows.len(), prediction.rows()), (2, 2));
        let batch = rows.finish().unwrap();
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().value(1).to_owned();
        let count = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int32Type>().value(1);
        let number = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().value(1);
        assert_eq!([text("group"), text("statistic")], ["web", "maximum"]);
        assert_eq!([count("reported"), count("carried"), count("horizon_s")], [9, 1, 300]);
        assert_eq!([number("last"), number("q05"), number("upper")], [2.5, 2.0, 8.0]);
        assert_eq!(rows.len(), 0);
    }
}
