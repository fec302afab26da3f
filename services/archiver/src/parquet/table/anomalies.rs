//! The table of anomalies: a row for each KPI to blame, of each record about a stretch. The newest of an id counts.

use super::{Rows, Tabular, UTC, instant, number, text};
use anyhow::Result;
use arrow::array::{ArrayRef, Float64Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder};
use arrow::datatypes::{Schema, SchemaRef};
use prescale_domain::alarm::Anomaly;
use prescale_domain::kpi::KpiName;
use prescale_domain::time::EventTime;
use std::sync::Arc;

impl Tabular for Anomaly {
    type Rows = AnomalyRows;

    fn stream(&self) -> &str {
        &self.source
    }

    fn rows(&self) -> usize {
        self.kpis.len().max(1)
    }
}

/// Its rows.
#[derive(Default)]
pub(crate) struct AnomalyRows {
    rows: usize,
    workload: StringBuilder,
    source: StringBuilder,
    at: TimestampMillisecondBuilder,
    anomaly_id: StringBuilder,
    started_at: TimestampMillisecondBuilder,
    ended_at: TimestampMillisecondBuilder,
    kpi: StringBuilder,
    p_value: Float64Builder,
    severity: StringBuilder,
}

impl Rows<Anomaly> for AnomalyRows {
    fn learn(&mut self, _: &Anomaly) {}

    fn schema(&self) -> SchemaRef {
        let fields = vec![
            text("workload"),
            text("source"),
            instant("at"),
            text("anomaly_id"),
            instant("started_at"),
            instant("ended_at").with_nullable(true),
            text("kpi").with_nullable(true),
            number("p_value"),
            text("severity"),
        ];
        Arc::new(Schema::new(fields))
    }

    fn append(&mut self, anomaly: &Anomaly) {
        let of_all = anomaly.kpis.is_empty().then_some(None);
        for kpi in anomaly.kpis.iter().map(Some).chain(of_all) {
            self.rows += 1;
            self.workload.append_value(anomaly.workload.as_str());
            self.source.append_value(&*anomaly.source);
            self.at.append_value(anomaly.at.as_ms());
            self.anomaly_id.append_value(&anomaly.anomaly_id);
            self.started_at.append_value(anomaly.started_at.as_ms());
            self.ended_at.append_option(anomaly.ended_at.map(EventTime::as_ms));
            self.kpi.append_option(kpi.map(KpiName::as_str));
            self.p_value.append_value(anomaly.p_value);
            self.severity.append_value(anomaly.severity.name());
        }
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.workload.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.at.finish().with_timezone(UTC)),
            Arc::new(self.anomaly_id.finish()),
            Arc::new(self.started_at.finish().with_timezone(UTC)),
            Arc::new(self.ended_at.finish().with_timezone(UTC)),
            Arc::new(self.kpi.finish()),
            Arc::new(self.p_value.finish()),
            Arc::new(self.severity.finish()),
        ];
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::TimestampMillisecondType;
    use prescale_domain::alarm::Severity;
    use prescale_domain::sample::Platform;
    use prescale_domain::source::SourceName;
    use prescale_domain::workload::WorkloadId;

    #[test]
    fn a_row_says_of_which_kpi_a_stretch_is_and_when_it_ended() {
        let anomaly = |kpis: &[&str], ended_at| Anomaly {
            workload: WorkloadId::new("web").unwrap(),
            source: SourceName::new("fleet:demo").unwrap(),
            anomaly_id: "a-1".into(),
            at: EventTime::from_s(900),
            started_at: EventTime::from_s(300),
            ended_at,
            p_value: 1e-6,
            severity: Severity::Warning,
            kpis: kpis.iter().map(|kpi| KpiName::new(kpi)).collect(),
            unusual_bins: 2,
            watched_bins: 3,
            platform: Platform::SIMULATED,
        };
        let records = [anomaly(&["cpu_cores_used", "latency_ms"], None), anomaly(&[], Some(EventTime::from_s(900)))];
        let mut rows = AnomalyRows::default();
        records.iter().for_each(|record| rows.append(record));
        assert_eq!(rows.len(), records.iter().map(Tabular::rows).sum::<usize>());
        let batch = rows.finish().unwrap();
        let kpis: Vec<Option<&str>> = batch.column_by_name("kpi").unwrap().as_string::<i32>().iter().collect();
        assert_eq!(kpis, [Some("cpu_cores_used"), Some("latency_ms"), None]);
        let ended = batch.column_by_name("ended_at").unwrap().as_primitive::<TimestampMillisecondType>();
        assert_eq!((ended.is_null(0), ended.is_null(1), ended.value(2)), (true, true, 900_000));
    }
}
