//! Tests of [`super`]: what may be configured, and that a failure stays with its series.

use super::*;
use crate::sql::table::{Series, TableBuilder, Window};
use prescale_domain::window::co_moments::CoMoments;
use prescale_domain::window::log_histogram::LogHistogram;
use prescale_domain::window::panes::Aggregate;
use prescale_domain::window::rhythm::Rhythm;

fn extra(name: &str, sql: &str) -> BTreeMap<String, String> {
    [(name.to_owned(), sql.to_owned())].into()
}

fn refusal(name: &str, sql: &str) -> String {
    FeatureQuery::new(&extra(name, sql)).map(|_| ()).unwrap_err().to_string()
}

fn part(values: &[f32]) -> (Aggregate, LogHistogram) {
    let mut aggregate = Aggregate { min: f64::MAX, max: f64::MIN, ..Aggregate::default() };
    let mut moments = CoMoments::default();
    let mut histogram = LogHistogram::default();
    for (i, value) in values.iter().enumerate() {
        moments.push(i as f64, f64::from(*value));
        aggregate.min = aggregate.min.min(f64::from(*value));
        aggregate.max = aggregate.max.max(f64::from(*value));
        histogram.record(*value);
    }
    (Aggregate { moments, ..aggregate }, histogram)
}

fn table(series: &[(&str, &[&[f32]])]) -> (RecordBatch, u32) {
    let mut builder = TableBuilder::new();
    for (kpi, parts) in series {
        let parts: Vec<_> = parts.iter().map(|values| part(values)).collect();
        let parts: Vec<_> = parts.iter().map(|(aggregate, histogram)| (*aggregate, histogram.as_bytes())).collect();
        let of = Series {
            kpi,
            window: Window::Short,
            step_s: 60.0,
            places: 10.0,
            last: Some(2.0),
            rhythm: &Rhythm::default(),
        };
        builder.push(of, &parts);
    }
    let count = builder.series();
    (builder.finish().unwrap(), count)
}

#[test]
fn parts_of_a_series_are_merged() {
    let query = FeatureQuery::new(&BTreeMap::new()).unwrap();
    let (table, count) = table(&[("a", &[&[1.0, 2.0], &[6.0]]), ("b", &[&[]]), ("a", &[&[5.0]])]);
    for _ in 0..2 {
        let found = query.run(table.clone(), count).unwrap();
        let [count, missing, mean, std_dev, min, max, ..] = found[0].values;
        assert_eq!([count, missing, mean, min, max], [Some(3.0), Some(0.7), Some(3.0), Some(1.0), Some(6.0)]);
        assert!((std_dev.unwrap() - 7f64.sqrt()).abs() < 1e-12);
        assert_eq!(found[1].values[..6], [Some(0.0), Some(1.0), None, None, None, None]);
        assert_eq!(found[2].values[2..8], [Some(5.0), None, Some(5.0), Some(5.0), Some(5.0), Some(5.0)]);
    }
}

#[test]
fn a_configured_feature_is_an_aggregate_over_the_columns() {
    let features: BTreeMap<String, String> = [
        ("rms", "sqrt(sum(m2 + count * mean * mean) / sum(count))"),
        ("spread", "max(max) - min(min) -- widest"),
        ("of_a", "max(max) FILTER (WHERE kpi = 'a' AND window_name = 'short')"),
        ("median", "get_field(merge_quantiles(histogram, min, max), 'p50')"),
        ("newest", "max(last)"),
    ]
    .into_iter()
    .map(|(name, sql)| (name.to_owned(), sql.to_owned()))
    .collect();
    let query = FeatureQuery::new(&features).unwrap();
    let (table, count) = table(&[("a", &[&[1.0, 2.0], &[6.0]]), ("b", &[&[3.0]])]);
    let found = query.run(table, count).unwrap();
    let rms = (41.0f64 / 3.0).sqrt();
    // The bucket of 2 goes from 2 to 2.125.
    assert_eq!(found[0].extra[..2], [Some(2.0 * 2.0 * 2.125 / 4.125), Some(2.0)]);
    assert_eq!(found[0].extra[2], Some(6.0));
    assert!((found[0].extra[3].unwrap() - rms).abs() < 1e-12);
    assert_eq!(found[0].extra[4], Some(5.0));
    assert_eq!(found[1].extra[2], None);
}

#[test]
fn what_cannot_be_a_feature_is_refused_with_its_name() {
    assert!(refusal("spread", "max(maximum)").contains("spread"));
    assert!(refusal("spread", "max(maximum)").contains("No field named maximum"));
    assert!(refusal("a", "max(max").contains("Expected"));
    assert!(refusal("a", "mean + 1").contains("mean"));
    assert!(refusal("a", "max(max), min(min)").contains("[fingerprinter.features] a"));
    assert!(refusal("a", "random() * max(max)").contains("does not always give the same"));
    assert!(refusal("a", "(SELECT max(max) FROM windows)").contains("subquery"));
    assert!(refusal("a", "sum(sum(max)) OVER ()").contains("series"));
    assert!(refusal("Spread", "max(max)").contains("lower-case"));
    assert!(refusal("a", "max(kpi)) AS DOUBLE), CAST((1").contains("one expression"));
}

#[test]
fn a_feature_that_fails_is_missing_on_its_series_only() {
    let query = FeatureQuery::new(&extra("n", "CAST(max(kpi) AS DOUBLE)")).unwrap();
    let (table, count) = table(&[("7", &[&[1.0]]), ("a", &[&[4.0]])]);
    let found = query.run(table, count).unwrap();
    assert_eq!((found[0].values[2], &found[0].extra[..]), (Some(1.0), &[Some(7.0)][..]));
    assert_eq!((found[1].values[2], &found[1].extra[..]), (Some(4.0), &[None][..]));
}
