//! Tests of [`super`].

use super::*;
use crate::prometheus::preset::parsed;
use proptest::prelude::*;

const PRESET: &str = r#"
about = "for tests"
workload = "{vm}"
platform = "openstack"
[kpis.cpu_cores_used]
query = "cpu"
[kpis.latency_ms]
query = "latency"
unit = "s"
add_up = "mean"
[kpis.requests_per_s]
query = "requests"
[capacity]
replicas = "count"
cpu_cores = "cores"
memory_bytes = "bytes"
"#;

const INSTANTS: Instants = Instants { first_ms: 60_000, step_s: 60, count: 3 };

fn preset() -> Preset {
    parsed(PRESET)
}

fn series(vm: &str, points: &[(i64, f64)]) -> Series {
    let labels = BTreeMap::from([("vm".to_owned(), vm.to_owned())]);
    Series { labels, points: points.iter().map(|(minute, value)| (60_000 * minute, *value)).collect() }
}

fn source() -> SourceName {
    SourceName::new("prometheus:p").unwrap()
}

fn column(preset: &Preset, name: &str) -> usize {
    preset.columns.iter().position(|column| column.name() == name).unwrap()
}

#[test]
fn series_of_a_workload_become_samples_of_the_step_before() {
    let preset = preset();
    let mut table = Table::new(&preset, INSTANTS);
    let mut take = |name: &str, answer| table.take(column(&preset, name), answer);
    take(
        "cpu_cores_used",
        vec![series("a", &[(1, 1.0), (2, 2.0)]), series("a", &[(2, 0.5), (3, f64::NAN)]), series("b", &[(1, 4.0)])],
    );
    take("latency_ms", vec![series("a", &[(1, 0.1), (3, 0.2)]), series("a", &[(3, 0.4)])]);
    take("capacity.replicas", vec![series("a", &[(1, 2.0), (2, 4.0)])]);
    take("capacity.cpu_cores", vec![series("a", &[(1, 8.0), (2, 8.0)]), series("b", &[(1, 2.0)])]);
    take("capacity.memory_bytes", vec![series("a", &[(1, 2e9), (2, 2e9)])]);
    let samples = table.samples(&source());
    let shown = |sample: &Sample| {
        let values: Vec<_> = sample.kpis.iter().map(|kpi| (kpi.name.to_string(), kpi.value)).collect();
        (sample.workload.to_string(), sample.at.as_ms() / 1000, values)
    };
    let cpu = |value| ("cpu_cores_used".to_owned(), value);
    let latency = |value| ("latency_ms".to_owned(), value);
    let requests = |value| ("requests_per_s".to_owned(), value);
    assert_eq!(
        samples.iter().map(shown).collect::<Vec<_>>(),
        [
            ("a".to_owned(), 0, vec![cpu(Some(1.0)), latency(Some(100.0)), requests(None)]),
            ("b".to_owned(), 0, vec![cpu(Some(4.0)), latency(None), requests(None)]),
            ("a".to_owned(), 60, vec![cpu(Some(2.5)), latency(None), requests(None)]),
            ("a".to_owned(), 120, vec![cpu(None), latency(Some(300.0)), requests(None)]),
        ]
    );
    let capacity = samples[0].capacity.as_ref().unwrap();
    assert_eq!((capacity.replicas, capacity.cpu_cores_per_replica, capacity.memory_bytes_per_replica), (2, 4.0, 1e9));
    assert_eq!((samples[1].capacity.as_ref(), samples[3].capacity.as_ref()), (None, None), "memory or all is missing");
    assert_eq!((samples[0].step_s, samples[0].platform), (60, preset.platform));
    for sample in &samples {
        prescale_domain::stream::validity::check(sample).unwrap();
    }
}

#[test]
fn an_optional_kpi_is_named_where_a_workload_has_it() {
    let preset = parsed(&PRESET.replace("query = \"requests\"", "query = \"requests\"\noptional = true"));
    let mut table = Table::new(&preset, INSTANTS);
    let cpu = column(&preset, "cpu_cores_used");
    table.take(cpu, vec![series("a", &[(1, 1.0)]), series("b", &[(1, 1.0), (2, 1.0)])]);
    table.take(column(&preset, "requests_per_s"), vec![series("b", &[(1, 7.0)])]);
    let values = |sample: &Sample| sample.kpis.iter().map(|kpi| kpi.value).collect::<Vec<_>>();
    let values: Vec<_> = table.samples(&source()).iter().map(values).collect();
    assert_eq!(values, [vec![Some(1.0), None], vec![Some(1.0), None, Some(7.0)], vec![Some(1.0), None, None]]);
}

#[test]
fn what_is_refused_is_missing_and_the_others_are_there() {
    let preset = preset();
    let mut table = Table::new(&preset, INSTANTS);
    let cpu = column(&preset, "cpu_cores_used");
    table.refuse(cpu, "no query".to_owned());
    table.refuse(column(&preset, "capacity.replicas"), "nor this".to_owned());
    table.take(column(&preset, "requests_per_s"), vec![series("a", &[(1, 7.0)])]);
    let refused: Vec<_> = table.refused().map(|(column, why)| (column.name(), why)).collect();
    assert_eq!(refused, [("cpu_cores_used", "no query"), ("capacity.replicas", "nor this")]);
    assert!(table.is_refused(cpu) && !table.has_no_kpi());
    let samples = table.samples(&source());
    assert_eq!(samples[0].kpis.iter().map(|kpi| kpi.value).collect::<Vec<_>>(), [None, None, Some(7.0)]);
    for name in ["latency_ms", "requests_per_s"] {
        table.refuse(column(&preset, name), "nor that".to_owned());
    }
    assert!(table.has_no_kpi());
}

#[test]
fn series_that_name_no_workload_are_counted_and_said() {
    let preset = preset();
    let mut table = Table::new(&preset, INSTANTS);
    let nameless = Series { labels: BTreeMap::new(), points: vec![(60_000, 1.0)] };
    table.take(0, vec![nameless.clone(), series("a", &[(1, 1.0)]), nameless]);
    assert_eq!(table.left_out(), &LeftOut { series: 2, why: "a series has no label \"vm\"".to_owned() });
    assert_eq!(table.samples(&source()).len(), 1);
}

proptest! {
    /// In whatever order series come, and whatever their points are.
    #[test]
    fn samples_do_not_depend_on_the_order_of_the_series(
        points in prop::collection::vec((0..3u8, prop::collection::vec((0i64..5, -2.0f64..9.0), 0..6)), 0..8), turn in 0usize..8,
    ) {
        let preset = preset();
        let answer: Vec<Series> = points.iter().map(|(vm, points)| series(&format!("vm-{vm}"), points)).collect();
        let mut turned = answer.clone();
        let places = turned.len().max(1);
        turned.rotate_left(turn % places);
        let samples = |answer: Vec<Series>| {
            let mut table = Table::new(&preset, INSTANTS);
            table.take(column(&preset, "requests_per_s"), answer);
            table.samples(&source())
        };
        let (one, other) = (samples(answer), samples(turned));
        prop_assert_eq!(one.len(), other.len());
        for (one, other) in one.iter().zip(&other) {
            let value = |sample: &Sample| sample.kpis[2].value.unwrap();
            prop_assert_eq!((&one.workload, one.at), (&other.workload, other.at));
            prop_assert!((value(one) - value(other)).abs() < 1e-9 && value(one) >= 0.0);
        }
    }
}
