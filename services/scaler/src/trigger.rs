//! What a ScaledObject's trigger asks for: the metadata of KEDA, which is texts, as what they mean.

use crate::message::ScaledObjectRef;
use prescale_chassis::config::hint;
use prescale_chassis::grpc::{Code, Status};
use prescale_domain::calibration::Statistic;
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use prescale_domain::quantiles::QUANTILE_LEVELS;
use prescale_domain::resource::Resource;
use prescale_domain::workload::WorkloadId;

/// The keys that a trigger may have, beside those that are KEDA's own.
const KEYS: [&str; 8] =
    ["workload", "kind", "resource", "horizon", "statistic", "quantile", "target", "activationThreshold"];
/// What KEDA reads itself, and hands over with the rest.
const KEYS_OF_KEDA: [&str; 7] =
    ["scalerAddress", "enableTLS", "unsafeSsl", "caCert", "tlsCertFile", "tlsClientCert", "tlsClientKey"];

const KIND: &str = "Deployment";
const HORIZON_S: u32 = 900;
const QUANTILE: f64 = 0.9;
/// KEDA tells the HPA in thousandths.
const TARGET_MIN: f64 = 0.001;

/// A trigger.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trigger {
    /// Whose forecast.
    pub(crate) workload: WorkloadId,
    /// Name of the KPI that is the demand.
    pub(crate) resource: String,
    pub(crate) horizon_s: u32,
    pub(crate) statistic: Statistic,
    /// Level of the quantile.
    pub(crate) quantile: f64,
    pub(crate) target: Target,
    /// No replica has to be there while the demand will be below it; `None`: some always have to.
    pub(crate) activation_threshold: Option<f64>,
}

/// How much of the demand a replica is to have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// So much, in the KPI's unit.
    PerReplica(f64),
    /// This share of the capacity that a replica has.
    Share(Resource, f64),
    /// It is not asked how much: the replicas are those that are planned.
    Plan,
}

impl Trigger {
    /// What a ScaledObject asks for.
    ///
    /// # Errors
    /// With the key that cannot be understood, or is missing.
    pub(crate) fn of(asked: &ScaledObjectRef) -> Result<Self, Status> {
        let metadata = &asked.scaler_metadata;
        let is_unknown = |key: &&String| !KEYS.contains(&key.as_str()) && !KEYS_OF_KEDA.contains(&key.as_str());
        if let Some(key) = metadata.keys().find(is_unknown) {
            return Err(wrong(format!("{key}: unknown key, {}", hint(key, KEYS.into_iter()))));
        }
        let given = |key: &str| metadata.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let resource = match given("resource") {
            None | Some("cpu") => CPU_CORES_USED,
            Some("memory") => MEMORY_BYTES,
            Some(kpi) => kpi,
        };
        let statistic = match given("statistic") {
            None => Statistic::Maximum,
            Some(name) => Statistic::ALL
                .into_iter()
                .find(|statistic| statistic.name() == name)
                .ok_or_else(|| wrong(format!("statistic: {name:?} is neither \"maximum\" nor \"value\"")))?,
        };
        let threshold = given("activationThreshold").map(|text| {
            let threshold = quantity(text).filter(|threshold| *threshold >= 0.0);
            threshold.ok_or_else(|| {
                wrong(format!("activationThreshold: {text:?} is no quantity such as \"0.1\" or \"500m\""))
            })
        });
        Ok(Self {
            workload: workload(asked, given("workload"), given("kind").unwrap_or(KIND))?,
            resource: resource.to_owned(),
            horizon_s: given("horizon").map_or(Ok(HORIZON_S), horizon_s)?,
            statistic,
            quantile: given("quantile").map_or(Ok(QUANTILE), level)?,
            target: target(given("target"), resource)?,
            activation_threshold: threshold.transpose()?,
        })
    }
}

fn wrong(message: String) -> Status {
    Status::new(Code::InvalidArgument, format!("the trigger's metadata: {message}"))
}

/// By its id, or as Kubernetes' workloads are called; the object that is scaled has the ScaledObject's name then.
fn workload(asked: &ScaledObjectRef, id: Option<&str>, kind: &str) -> Result<WorkloadId, Status> {
    let named = || format!("{}/{kind}/{}", asked.namespace, asked.name);
    let id = id.map_or_else(named, str::to_owned);
    WorkloadId::new(&id).map_err(|error| wrong(format!("workload: {error}")))
}

/// Seconds, or a number with s, m or h.
fn horizon_s(text: &str) -> Result<u32, Status> {
    let number = text.trim_end_matches(['s', 'm', 'h']);
    let unit_s = match &text[number.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        _ => None,
    };
    let seconds = number.parse::<u32>().ok().zip(unit_s).and_then(|(number, unit_s)| number.checked_mul(unit_s));
    let seconds = seconds.filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| wrong(format!("horizon: {text:?} is no length such as \"15m\" or \"900\" (seconds)")))
}

fn level(text: &str) -> Result<f64, Status> {
    let (least, greatest) = (QUANTILE_LEVELS[0], QUANTILE_LEVELS[QUANTILE_LEVELS.len() - 1]);
    let level = text.parse::<f64>().ok().filter(|level| (least..=greatest).contains(level));
    level.ok_or_else(|| wrong(format!("quantile: {text:?} is not from {least} to {greatest}")))
}

fn target(text: Option<&str>, resource: &str) -> Result<Target, Status> {
    const FORMS: &str = "say how much of the demand a replica is to have (\"0.7\", \"700m\", \"2Gi\"), \
                         its share of what a replica has (\"70%\"), or \"plan\" for the replicas that are planned";
    let text = text.ok_or_else(|| wrong(format!("target is missing: {FORMS}")))?;
    let refused = || wrong(format!("target: {text:?}: {FORMS}"));
    if text == "plan" {
        return Ok(Target::Plan);
    }
    if let Some(percent) = text.strip_suffix('%') {
        let share = percent.trim_end().parse::<f64>().ok().map(|percent| percent / 100.0);
        let share = share.filter(|share| *share > 0.0 && *share <= 1.0).ok_or_else(refused)?;
        let of = Resource::of_kpi(resource);
        let of =
            of.ok_or_else(|| wrong(format!("target: {text:?}: a replica has no capacity of {resource:?}: {FORMS}")))?;
        return Ok(Target::Share(of, share));
    }
    let much = quantity(text).filter(|much| *much >= TARGET_MIN);
    much.map(Target::PerReplica).ok_or_else(refused)
}

/// A quantity as Kubernetes writes them.
fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 9] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let suffixed = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(*suffix)?, *factor)));
    let (number, factor) = suffixed.unwrap_or((text, 1.0));
    let number: f64 = number.parse().ok()?;
    Some(number * factor).filter(|quantity| quantity.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{repository_file, scaled_object};
    use proptest::prelude::*;

    fn refusal(metadata: &[(&str, &str)]) -> String {
        let refused = Trigger::of(&scaled_object(metadata)).unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument);
        refused.message
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        let trigger = Trigger::of(&scaled_object(&[("target", "0.7"), ("scalerAddress", "scaler:9500")])).unwrap();
        assert_eq!(trigger.workload.as_str(), "shop/Deployment/web");
        assert_eq!((trigger.resource.as_str(), trigger.horizon_s), (CPU_CORES_USED, 900));
        assert_eq!((trigger.statistic, trigger.quantile), (Statistic::Maximum, 0.9));
        assert_eq!((trigger.target, trigger.activation_threshold), (Target::PerReplica(0.7), None));
    }

    #[test]
    fn what_is_given_is_taken() {
        let metadata = [
            ("workload", "vm-7"),
            ("resource", "memory"),
            ("horizon", "1h"),
            ("statistic", "value"),
            ("quantile", "0.5"),
            ("target", "70%"),
            ("activationThreshold", "64Mi"),
        ];
        let trigger = Trigger::of(&scaled_object(&metadata)).unwrap();
        let wanted = Trigger {
            workload: WorkloadId::new("vm-7").unwrap(),
            resource: MEMORY_BYTES.to_owned(),
            horizon_s: 3_600,
            statistic: Statistic::Value,
            quantile: 0.5,
            target: Target::Share(Resource::Memory, 0.7),
            activation_threshold: Some(67_108_864.0),
        };
        assert_eq!(trigger, wanted);
        let plan = Trigger::of(&scaled_object(&[("target", "plan"), ("kind", "StatefulSet")])).unwrap();
        assert_eq!((plan.workload.as_str(), plan.target), ("shop/StatefulSet/web", Target::Plan));
    }

    #[test]
    fn the_example_of_a_scaled_object_is_understood() {
        let example = repository_file("infra/kubernetes/scaled-object.yaml");
        let lines = example.lines().skip_while(|line| line.trim() != "- type: external-push");
        let lines =
            lines.skip_while(|line| line.trim() != "metadata:").skip(1).take_while(|line| line.starts_with("      "));
        let pairs = lines.map(|line| line.trim().split_once(": ").unwrap());
        let metadata: Vec<(&str, &str)> = pairs.map(|(key, text)| (key, text.trim_matches('"'))).collect();
        assert_eq!(metadata.len(), 5);
        let trigger = Trigger::of(&scaled_object(&metadata)).unwrap();
        assert_eq!(trigger.workload.as_str(), "shop/Deployment/web");
        assert_eq!((trigger.horizon_s, trigger.target), (900, Target::Share(Resource::Cpu, 0.7)));
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        assert!(refusal(&[("target", "1"), ("horizn", "900")]).contains("did you mean \"horizon\"?"));
        assert!(refusal(&[]).contains("target is missing"));
        for (key, text) in [
            ("target", "0"),
            ("target", "0.0001"),
            ("target", "many"),
            ("target", "inf"),
            ("target", "150%"),
            ("quantile", "0.999"),
            ("quantile", "NaN"),
            ("horizon", "0"),
            ("horizon", "15 m"),
            ("horizon", "1hm"),
            ("horizon", "4294967295h"),
            ("statistic", "mean"),
            ("activationThreshold", "-1"),
        ] {
            let mut metadata = vec![("target", "1")];
            metadata.retain(|(known, _)| *known != key);
            metadata.push((key, text));
            assert!(refusal(&metadata).contains(&format!("{key}: ")), "{key} = {text}");
        }
        let rate = refusal(&[("resource", "requests_per_s"), ("target", "70%")]);
        assert!(rate.contains("no capacity of \"requests_per_s\""), "{rate}");
    }

    proptest! {
        #[test]
        fn texts_from_anywhere_are_taken_or_refused(key in prop::sample::select(KEYS.to_vec()), text in "\\PC{0,12}") {
            let _ = Trigger::of(&scaled_object(&[("target", "1"), (key, text.as_str())]));
        }
    }
}
