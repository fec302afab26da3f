//! The tables: a fingerprint is a row for each KPI, a prediction one for each resource, horizon and
//! statistic ([`forecasts`]), an anomaly one for each KPI to blame ([`anomalies`]). A feature is a column of its own, null where the window does not define it, and between
//! the closes of bins, where a row tells the newest value: training learns from those of all instants.

mod anomalies;
mod forecasts;

use crate::features::{EXTRA, FEATURES, NAMES, WINDOWS, values, windows};
use anyhow::Result;
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::file::metadata::KeyValue;
use prescale_contracts::Contract;
use prescale_domain::anomaly::ANOMALY_P_MAX;
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint};
use prescale_domain::kpi::KpiName;
use prescale_domain::resource::Resource;
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeSet;
use std::sync::Arc;

const UTC: &str = "UTC";
/// Key of the file's metadata: which sets of features its rows have.
const SCHEMA_HASHES: &str = "prescale.feature_schema_hashes";

/// A record that has a table.
pub(crate) trait Tabular: Contract + Send {
    /// Its table.
    type Rows: Rows<Self>;
    /// The column that says whom it is about.
    const SUBJECT: &'static str = "workload";

    /// The stream that it is of: instants of one go on together.
    fn stream(&self) -> &str;

    /// How many rows it has.
    fn rows(&self) -> usize;
}

/// Rows of a table under way.
pub(crate) trait Rows<C>: Default {
    /// Takes in which columns a record needs; to be called with all records before the first row.
    fn learn(&mut self, value: &C);
    /// The same of a file whose rows are to stand before them: its columns, and what it says of itself.
    fn learn_file(&mut self, _columns: &Schema, _says: &[KeyValue]) {}
    /// The columns.
    fn schema(&self) -> SchemaRef;
    /// Appends a record's rows.
    fn append(&mut self, value: &C);
    /// How many rows there are.
    fn len(&self) -> usize;
    /// The rows; none are left.
    fn finish(&mut self) -> Result<RecordBatch>;
    /// What the file says of itself.
    fn metadata(&self) -> Vec<(&'static str, String)>;
}

impl Tabular for Fingerprint {
    type Rows = FingerprintRows;

    fn stream(&self) -> &str {
        &self.source
    }

    fn rows(&self) -> usize {
        self.kpis.len()
    }
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn number(name: impl Into<String>) -> Field {
    Field::new(name, DataType::Float64, true)
}

fn count(name: &str) -> Field {
    Field::new(name, DataType::Int32, false)
}

fn instant(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())), false)
}

fn capped(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// What the tables of workloads begin with: which demand, of whom and when.
struct Subject<'a> {
    workload: &'a WorkloadId,
    source: &'a str,
    at: EventTime,
    step_s: u32,
    kpi: &'a KpiName,
    unit: &'a str,
    last: Option<f64>,
    capacity: Option<&'a Capacity>,
}

#[derive(Default)]
struct SubjectBuilders {
    rows: usize,
    workload: StringBuilder,
    source: StringBuilder,
    at: TimestampMillisecondBuilder,
    step_s: Int32Builder,
    kpi: StringBuilder,
    unit: StringBuilder,
    last: Float64Builder,
    capacity: Float64Builder,
}

impl SubjectBuilders {
    /// The columns; `kpi` is what the table calls the KPI.
    fn fields(kpi: &str) -> Vec<Field> {
        vec![
            text("workload"),
            text("source"),
            instant("at"),
            count("step_s"),
            text(kpi),
            text("unit"),
            number("last"),
            number("capacity"),
        ]
    }

    fn append(&mut self, subject: &Subject<'_>) {
        self.rows += 1;
        self.workload.append_value(subject.workload.as_str());
        self.source.append_value(subject.source);
        self.at.append_value(subject.at.as_ms());
        self.step_s.append_value(capped(subject.step_s));
        self.kpi.append_value(subject.kpi.as_str());
        self.unit.append_value(subject.unit);
        self.last.append_option(subject.last);
        self.capacity.append_option(Resource::capacity_of_kpi(subject.kpi.as_str(), subject.capacity));
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        vec![
            Arc::new(self.workload.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.at.finish().with_timezone(UTC)),
            Arc::new(self.step_s.finish()),
            Arc::new(self.kpi.finish()),
            Arc::new(self.unit.finish()),
            Arc::new(self.last.finish()),
            Arc::new(self.capacity.finish()),
        ]
    }
}

/// The table of fingerprints.
#[derive(Default)]
pub(crate) struct FingerprintRows {
    subject: SubjectBuilders,
    anomaly: BooleanBuilder,
    /// By window, its features and those added by SQL.
    features: [Vec<Float64Builder>; 2],
    extra: [Vec<Float64Builder>; 2],
    extra_names: [BTreeSet<String>; 2],
    schema_hashes: BTreeSet<Arc<str>>,
}

impl FingerprintRows {
    fn append_features(&mut self, kpi: &KpiFingerprint) {
        let of_both = windows(kpi).map_or([None; 2], |both| both.map(Some));
        for (at, window) in of_both.into_iter().enumerate() {
            self.features[at].resize_with(FEATURES, Float64Builder::new);
            for (column, value) in self.features[at].iter_mut().zip(window.map_or([None; FEATURES], values)) {
                column.append_option(value);
            }
            self.extra[at].resize_with(self.extra_names[at].len(), Float64Builder::new);
            for (column, name) in self.extra[at].iter_mut().zip(&self.extra_names[at]) {
                column.append_option(window.and_then(|window| window.extra.get(name).copied().flatten()));
            }
        }
    }
}

impl Rows<Fingerprint> for FingerprintRows {
    fn learn(&mut self, fingerprint: &Fingerprint) {
        self.schema_hashes.insert(Arc::clone(&fingerprint.feature_schema_hash));
        for kpi in &fingerprint.kpis {
            for (names, window) in self.extra_names.iter_mut().zip(windows(kpi).into_iter().flatten()) {
                for name in window.extra.keys().filter(|name| !names.contains(*name)).collect::<Vec<_>>() {
                    names.insert(name.clone());
                }
            }
        }
    }

    fn learn_file(&mut self, columns: &Schema, says: &[KeyValue]) {
        let hashes = says.iter().filter(|pair| pair.key == SCHEMA_HASHES).filter_map(|pair| pair.value.as_deref());
        let hashes = hashes.flat_map(|hashes| hashes.split(',')).filter(|hash| !hash.is_empty());
        self.schema_hashes.extend(hashes.map(Arc::<str>::from));
        for (window, names) in WINDOWS.into_iter().zip(&mut self.extra_names) {
            let prefix = format!("{window}_{EXTRA}");
            let of_window = columns.fields().iter().filter_map(|field| field.name().strip_prefix(prefix.as_str()));
            names.extend(of_window.map(str::to_owned));
        }
    }

    fn schema(&self) -> SchemaRef {
        let mut fields = SubjectBuilders::fields("kpi");
        fields.push(Field::new("anomaly", DataType::Boolean, false));
        for (window, extra) in WINDOWS.into_iter().zip(&self.extra_names) {
            fields.extend(NAMES.iter().map(|name| number(format!("{window}_{name}"))));
            fields.extend(extra.iter().map(|name| number(format!("{window}_{EXTRA}{name}"))));
        }
        Arc::new(Schema::new(fields))
    }

    fn append(&mut self, fingerprint: &Fingerprint) {
        let f = fingerprint;
        let is_anomaly = f.anomaly.as_ref().is_some_and(|score| f64::from(score.p_value) < ANOMALY_P_MAX);
        for kpi in &f.kpis {
            self.subject.append(&Subject {
                workload: &f.workload,
                source: &f.source,
                at: f.at,
                step_s: f.step_s,
                kpi: &kpi.name,
                unit: &kpi.unit,
                last: kpi.last,
                capacity: f.capacity.as_ref(),
            });
            self.anomaly.append_value(is_anomaly);
            self.append_features(kpi);
        }
    }

    fn len(&self) -> usize {
        self.subject.rows
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let mut columns = self.subject.finish();
        columns.push(Arc::new(self.anomaly.finish()));
        let extra_counts = [0, 1].map(|at| self.extra_names[at].len());
        for ((features, extra), extra_count) in self.features.iter_mut().zip(&mut self.extra).zip(extra_counts) {
            features.resize_with(FEATURES, Float64Builder::new);
            extra.resize_with(extra_count, Float64Builder::new);
            columns.extend(features.iter_mut().chain(extra).map(|column| Arc::new(column.finish()) as ArrayRef));
        }
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        let hashes: Vec<&str> = self.schema_hashes.iter().map(|hash| &**hash).collect();
        vec![(SCHEMA_HASHES, hashes.join(","))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::{fingerprint, newest_values};
    use arrow::array::AsArray as _;
    use arrow::datatypes::Float64Type;
    use prescale_domain::anomaly::AnomalyScore;

    #[test]
    fn between_the_closes_of_bins_a_row_has_its_newest_value_and_no_features() {
        let records = [fingerprint("web", 0), newest_values("web", 60)];
        let mut rows = FingerprintRows::default();
        records.iter().for_each(|record| rows.learn(record));
        records.iter().for_each(|record| rows.append(record));
        let batch = rows.finish().unwrap();
        let column = |name: &str| -> Vec<Option<f64>> {
            batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect()
        };
        assert_eq!(column("last"), [Some(2.75), None, Some(2.75), None]);
        assert_eq!(column("short_count"), [Some(60.0), Some(60.0), None, None]);
        assert_eq!(column("short_p95"), [Some(3.5), Some(3.5), None, None]);
        assert!(batch.column_by_name("anomaly").unwrap().as_boolean().iter().all(|one| one == Some(false)));
        assert_eq!(column("long_extra_peak_to_mean"), [Some(1.5), Some(1.5), None, None]);
    }

    #[test]
    fn the_rows_of_a_bin_that_is_rare_enough_are_anomalies() {
        let with = |p_value: f32| {
            let anomaly = Some(AnomalyScore { p_value, kpis: Vec::new() });
            Fingerprint { anomaly, ..fingerprint("web", 0) }
        };
        let mut rows = FingerprintRows::default();
        for record in [with(0.01), with(0.0001)] {
            rows.learn(&record);
            rows.append(&record);
        }
        let batch = rows.finish().unwrap();
        let told: Vec<Option<bool>> = batch.column_by_name("anomaly").unwrap().as_boolean().iter().collect();
        assert_eq!(told, [Some(false), Some(false), Some(true), Some(true)]);
    }
}
