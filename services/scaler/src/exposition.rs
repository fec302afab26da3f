//! Forecasts in Prometheus' text format, within bounds. What is stale is not there, so whoever goes by it notices.

use crate::forecasts::{Forecast, Forecasts};
use prescale_domain::calibration::Statistic;
use prescale_domain::sample::Platform;
use prescale_domain::selector::Selector;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::fmt::{Display, Write as _};

/// Of a workload, beside the quantiles: when its forecast was made, and the replicas that are planned.
const SERIES_BESIDE: usize = 2;

/// What is shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// Platforms of the workloads; empty for all.
    pub(crate) platforms: Vec<Platform>,
    pub(crate) selector: Selector,
    /// Levels.
    pub(crate) quantiles: Vec<f64>,
    pub(crate) series_max: usize,
}

impl Shown {
    fn holds(&self, workload: &WorkloadId, forecast: &Forecast) -> bool {
        let is_of_platform = self.platforms.is_empty() || self.platforms.contains(&forecast.platform);
        is_of_platform && self.selector.holds(workload, &forecast.source)
    }

    fn series(&self, forecast: &Forecast) -> usize {
        let horizons: usize = forecast.demands.iter().map(|demand| demand.horizons.len()).sum();
        horizons * self.quantiles.len() + SERIES_BESIDE
    }
}

/// A workload with the labels that say which it is.
struct Labelled<'a> {
    workload: &'a WorkloadId,
    forecast: &'a Forecast,
    labels: String,
}

/// All that is shown, as it is now.
pub(crate) fn text(forecasts: &Forecasts, shown: &Shown, now: EventTime) -> String {
    let (mut written, mut left_out, mut workloads) = (0, 0, Vec::new());
    for (workload, forecast) in forecasts.fresh(now).filter(|(workload, forecast)| shown.holds(workload, forecast)) {
        let series = shown.series(forecast);
        if written + series > shown.series_max {
            left_out += series;
            continue;
        }
        written += series;
        workloads.push(Labelled { workload, forecast, labels: labels(workload, forecast) });
    }
    let mut text = String::new();
    predictions(&mut text, &workloads, &shown.quantiles);
    head(&mut text, "prescale_prediction_made_at_seconds", "Instant of the newest forecast, since 1970");
    for Labelled { forecast, labels, .. } in &workloads {
        let made_at_s = forecast.made_at.as_ms() as f64 / 1000.0;
        line(&mut text, "prescale_prediction_made_at_seconds", labels, made_at_s);
    }
    head(&mut text, "prescale_planned_replicas", "Replicas that the workload is to have by the newest plan");
    for Labelled { workload, forecast, labels } in &workloads {
        if let Some(replicas) = forecasts.planned_replicas(workload, forecast, now) {
            line(&mut text, "prescale_planned_replicas", labels, replicas);
        }
    }
    let name = "prescale_prediction_series_left_out";
    head(&mut text, name, "Series that [scaler.metrics] series_max has no room for");
    let _ = writeln!(text, "{name} {left_out}");
    text
}

fn predictions(text: &mut String, workloads: &[Labelled<'_>], quantiles: &[f64]) {
    let name = "prescale_prediction";
    head(text, name, "Quantile of the greatest demand from now to the horizon, in the resource's unit");
    let statistic = Statistic::Maximum.name();
    for Labelled { forecast, labels, .. } in workloads {
        for demand in &forecast.demands {
            let (resource, unit) = (escaped(demand.resource.as_str()), escaped(&demand.unit));
            for horizon in &demand.horizons {
                for level in quantiles {
                    let labels = format!(
                        "{labels},resource=\"{resource}\",unit=\"{unit}\",horizon_s=\"{}\",statistic=\"{statistic}\",quantile=\"{level}\"",
                        horizon.horizon_s
                    );
                    line(text, name, &labels, horizon.maximum.at(*level));
                }
            }
        }
    }
}

fn head(text: &mut String, name: &str, help: &str) {
    // A string takes all, here and below.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}

fn line(text: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = writeln!(text, "{name}{{{labels}}} {value}");
}

/// Which workload it is: its id, and where that is one of Kubernetes, the parts of it.
fn labels(workload: &WorkloadId, forecast: &Forecast) -> String {
    let mut labels =
        format!("workload=\"{}\",source=\"{}\"", escaped(workload.as_str()), escaped(forecast.source.as_str()));
    if let Some([namespace, kind, name]) = parts(workload.as_str()) {
        let [namespace, kind, name] = [namespace, kind, name].map(escaped);
        let _ = write!(labels, ",namespace=\"{namespace}\",kind=\"{kind}\",name=\"{name}\"");
    }
    labels
}

/// Namespace, kind and name.
fn parts(id: &str) -> Option<[&str; 3]> {
    let mut parts = id.split('/');
    let found = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none() && found.iter().all(|part| !part.is_empty())).then_some(found)
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecasts::Terms;
    use crate::testing::{at, forecast, parsed, repository_file};
    use std::collections::BTreeMap;

    fn shown(series_max: usize) -> Shown {
        let selector = Selector::new(&[], &[]).unwrap();
        Shown { platforms: vec![Platform::KUBERNETES], selector, quantiles: vec![0.5, 0.9], series_max }
    }

    fn known(names: &[&str]) -> Forecasts {
        let mut known = Forecasts::new(Terms { workloads_max: 9, stale_after_s: 900 });
        for name in names {
            let (workload, forecast) = forecast(name, at(0), 1.0);
            known.take(workload, forecast, at(0));
        }
        known
    }

    #[test]
    fn each_series_says_whose_it_is_and_what_is_stale_is_gone() {
        let (known, shown) = (known(&["shop/Deployment/we\"b\\", "vm-7"]), shown(99));
        let series = parsed(&text(&known, &shown, at(1)));
        let predictions: Vec<&(BTreeMap<String, String>, f64)> = series["prescale_prediction"].iter().collect();
        // Of two workloads: two resources, three horizons, two quantiles.
        assert_eq!(predictions.len(), 24);
        let (_, web) = known.fresh(at(1)).next().unwrap();
        let wanted = web.demands[0].horizons[1].maximum.at(0.9);
        let of_web = [
            ("workload", "shop/Deployment/we\"b\\"),
            ("source", "prometheus:test"),
            ("namespace", "shop"),
            ("kind", "Deployment"),
            ("name", "we\"b\\"),
            ("resource", "cpu_cores_used"),
            ("unit", "cores"),
            ("horizon_s", "900"),
            ("statistic", "maximum"),
            ("quantile", "0.9"),
        ];
        let of_web: BTreeMap<String, String> = of_web.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert!(predictions.contains(&&(of_web, wanted)), "{predictions:?}");
        assert!(predictions.iter().any(|(labels, _)| labels["workload"] == "vm-7" && !labels.contains_key("kind")));
        assert_eq!(series["prescale_planned_replicas"].iter().map(|(_, value)| *value).collect::<Vec<_>>(), [2.0, 2.0]);
        assert_eq!(series["prescale_prediction_made_at_seconds"][0].1, at(0).as_ms() as f64 / 1000.0);
        let stale = parsed(&text(&known, &shown, at(16)));
        assert_eq!(stale.keys().collect::<Vec<_>>(), ["prescale_prediction_series_left_out"]);
    }

    #[test]
    fn a_workload_without_room_is_left_out_whole_and_so_are_those_that_are_not_meant() {
        let known = known(&["a", "b"]);
        let series = parsed(&text(&known, &shown(27), at(0)));
        assert_eq!(series["prescale_prediction"].len(), 12);
        assert_eq!(series["prescale_prediction_series_left_out"][0].1, 14.0);
        let others = Shown { platforms: vec![Platform::OPENSTACK], ..shown(99) };
        assert!(!parsed(&text(&known, &others, at(0))).contains_key("prescale_prediction"));
        let named = Shown { selector: Selector::new(&["a*".to_owned()], &[]).unwrap(), ..shown(99) };
        assert_eq!(parsed(&text(&known, &named, at(0)))["prescale_prediction"].len(), 12);
    }

    /// The example for the adapter names what is shown, and nothing else.
    #[test]
    fn the_adapter_is_told_of_series_and_labels_that_are_there() {
        let example = repository_file("infra/kubernetes/prometheus-adapter.yaml");
        let series = parsed(&text(&known(&["shop/Deployment/web"]), &shown(99), at(0)));
        let (labels, _) = &series["prescale_prediction"][0];
        let queries = example.lines().filter_map(|line| line.trim().strip_prefix("- seriesQuery: '"));
        for query in queries {
            let (name, matchers) = query.split_once('{').unwrap();
            assert!(series.contains_key(name), "{name}");
            for matcher in matchers.split_once('}').unwrap().0.split(',') {
                let label = matcher.split(['!', '=']).next().unwrap();
                assert!(labels.contains_key(label), "{label}");
            }
        }
        let selected: Vec<&str> = example
            .lines()
            .skip_while(|line| line.trim() != "matchLabels:")
            .skip(1)
            .take_while(|line| line.starts_with("            "))
            .filter_map(|line| Some(line.trim().split_once(':')?.0))
            .collect();
        assert!(!selected.is_empty() && selected.iter().all(|label| labels.contains_key(*label)), "{selected:?}");
    }
}
