//! Checks a plan on its own, before it is carried out: whoever made it, an executor refuses one
//! that contradicts itself. It shares no code with what makes plans.

use crate::action::{Action, Mechanism, Verdict};
use crate::sample::{Capacity, Platform};

/// What is wrong with a plan; nothing when it may be carried out.
pub fn violations(action: &Action) -> Vec<String> {
    let mut found = Vec::new();
    let mut require = |holds: bool, otherwise: &str| {
        if !holds {
            found.push(otherwise.to_owned());
        }
    };
    let (now, wanted) = (&action.current, &action.desired);
    require(!action.prediction_id.is_empty(), "it names no prediction");
    require(action.valid_until > action.decided_at, "it is void from the start");
    require(wanted.replicas >= 1, "it leaves no replica");
    let sizes = [wanted.cpu_cores_per_replica, wanted.memory_bytes_per_replica];
    require(sizes.iter().all(|v| v.is_finite() && *v >= 0.0), "its capacity is no number");
    match action.mechanism {
        Mechanism::Replicas => {
            require(
                same_size(now, wanted),
                "it changes the size of the replicas, though its mechanism is their number",
            );
        }
        Mechanism::Limits => {
            require(
                now.replicas == wanted.replicas,
                "it changes the number of replicas, though its mechanism is limits",
            );
        }
        Mechanism::InstanceType => {
            require(wanted.instance_type.is_some(), "it names no instance type");
        }
    }
    let totals = [(now.cpu_cores(), wanted.cpu_cores()), (now.memory_bytes(), wanted.memory_bytes())];
    match action.verdict {
        Verdict::ScaleOut => require(totals.iter().all(|(a, b)| b >= a), "it scales out and takes capacity away"),
        Verdict::ScaleIn => require(totals.iter().all(|(a, b)| b <= a), "it scales in and adds capacity"),
        Verdict::Reshape => {}
    }
    require(action.dry_run || action.platform != Platform::OBSERVED_ONLY, "its workload can only be observed");
    found
}

fn same_size(a: &Capacity, b: &Capacity) -> bool {
    a.cpu_cores_per_replica == b.cpu_cores_per_replica
        && a.memory_bytes_per_replica == b.memory_bytes_per_replica
        && a.instance_type == b.instance_type
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::action;

    #[test]
    fn a_sound_plan_passes() {
        assert_eq!(violations(&action("w", 0, 4, 6)), Vec::<String>::new());
    }

    #[test]
    fn each_contradiction_is_named() {
        let sound = action("w", 0, 4, 6);
        let broken = [
            (Action { prediction_id: "".into(), ..sound.clone() }, "names no prediction"),
            (Action { valid_until: sound.decided_at, ..sound.clone() }, "void from the start"),
            (Action { verdict: Verdict::ScaleIn, ..sound.clone() }, "scales in and adds"),
            (Action { mechanism: Mechanism::Limits, ..sound.clone() }, "number of replicas"),
            (Action { platform: Platform::OBSERVED_ONLY, ..sound.clone() }, "only be observed"),
            (
                Action { desired: Capacity { replicas: 0, ..sound.desired.clone() }, ..sound.clone() },
                "leaves no replica",
            ),
            (
                Action { desired: Capacity { cpu_cores_per_replica: f64::NAN, ..sound.desired.clone() }, ..sound },
                "no number",
            ),
        ];
        for (action, words) in broken {
            let found = violations(&action).join("; ");
            assert!(found.contains(words), "{words:?} is not in {found:?}");
        }
    }
}
