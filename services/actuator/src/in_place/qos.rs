//! The class of service of a pod, which a change in place must not change.

use prescale_kubernetes::resources::{Amounts, Resources};

/// A class of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qos {
    /// Each container has limits of both resources, and requests that are the same.
    Guaranteed,
    /// Some container asks for something.
    Burstable,
    /// None asks for anything.
    BestEffort,
}

impl Qos {
    /// Of a pod whose containers, init containers among them, ask for this. A request that is absent is the limit; what is
    /// zero is absent.
    pub(super) fn of(containers: impl IntoIterator<Item = Resources>) -> Self {
        let (mut asks, mut is_guaranteed) = (false, true);
        for Resources { requests, limits } in containers {
            let (requests, limits) = (without_zeros(requests), without_zeros(limits));
            asks |= requests != Amounts::default() || limits != Amounts::default();
            is_guaranteed &=
                limits.cpu_millis.is_some() && limits.memory_bytes.is_some() && requests.or(limits) == limits;
        }
        match (asks, is_guaranteed) {
            (false, _) => Self::BestEffort,
            (true, true) => Self::Guaranteed,
            (true, false) => Self::Burstable,
        }
    }
}

fn without_zeros(Amounts { cpu_millis, memory_bytes }: Amounts) -> Amounts {
    let above_zero = |amount: &u64| *amount > 0;
    Amounts { cpu_millis: cpu_millis.filter(above_zero), memory_bytes: memory_bytes.filter(above_zero) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_follows_from_what_containers_ask_for() {
        let of = |cpu: u64, memory: u64| Amounts { cpu_millis: Some(cpu), memory_bytes: Some(memory) };
        let resources = |requests, limits| Resources { requests, limits };
        let (nothing, full) = (Resources::default(), resources(of(1, 2), of(1, 2)));
        assert_eq!(Qos::of([nothing, nothing]), Qos::BestEffort);
        assert_eq!(Qos::of([resources(of(0, 0), Amounts::default())]), Qos::BestEffort);
        assert_eq!(Qos::of([full, resources(Amounts::default(), of(3, 4))]), Qos::Guaranteed);
        assert_eq!(Qos::of([full, nothing]), Qos::Burstable);
        assert_eq!(Qos::of([resources(of(1, 1), of(1, 2))]), Qos::Burstable);
        assert_eq!(Qos::of([resources(of(1, 1), Amounts::default())]), Qos::Burstable);
    }
}
