//! Which container of a pod gets how much of a replica's capacity.
//!
//! A replica's capacity is what its containers have together: of each the limit, or where it has none, what it requests.
//! It is spread over the containers that are sized in proportion to what they have, and limits and requests of a
//! container grow and shrink alike. So a limit stays above its request or equal to it, what is absent stays absent, and a
//! pod keeps its class of service. Init containers, sidecars among them, are no part of the capacity and are left alone.

use super::container::Container;
use prescale_domain::sample::Capacity;
use prescale_kubernetes::resources::Resources;

/// CPU is given in whole millicores.
const CPU_MILLIS_UNIT: u64 = 1;
/// Memory is given in whole MiB, so that no page size rounds it.
const MEMORY_BYTES_UNIT: u64 = 1 << 20;

/// What a replica is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Millicores.
    pub(crate) cpu_millis: u64,
    /// Bytes.
    pub(crate) memory_bytes: u64,
}

/// Why containers cannot come to a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// None of those that are sized asks for any of it.
    #[error("no container that is sized has a limit or a request of {resource}: give one of them one")]
    Unsized {
        /// `cpu` or `memory`.
        resource: &'static str,
    },
    /// The others have all of it.
    #[error(
        "the containers that are not sized have {others} of {resource} already, and {wanted} are wanted in all ({unit})"
    )]
    Taken {
        /// `cpu` or `memory`.
        resource: &'static str,
        /// What the others have.
        others: u64,
        /// What is wanted.
        wanted: u64,
        /// Unit of both.
        unit: &'static str,
    },
}

impl Wanted {
    /// Of one replica of a capacity.
    pub(crate) fn of(capacity: &Capacity) -> Self {
        // What a float is off by is not worth another millicore.
        let cpu_millis = (capacity.cpu_cores_per_replica * 1000.0 - 1e-6).ceil() as u64;
        Self { cpu_millis, memory_bytes: (capacity.memory_bytes_per_replica - 0.5).ceil() as u64 }
    }
}

/// What each container is to ask for, in their order, so that they come to what is wanted; those that are sized are
/// told by name. Containers that come to it already are left as they are.
///
/// # Errors
/// When they cannot come to it.
pub(super) fn fitted(
    containers: &[Container],
    is_sized: impl Fn(&str) -> bool,
    wanted: Wanted,
) -> Result<Vec<Resources>, Unfit> {
    let shares = |of: fn(&Container) -> (Option<u64>, Option<u64>)| -> Vec<Share> {
        let share = |container: &Container| {
            let (request, limit) = of(container);
            Share { request, limit, is_sized: is_sized(&container.name) }
        };
        containers.iter().map(share).collect()
    };
    let cpu = Kind { resource: "cpu", unit_name: "millicores", unit: CPU_MILLIS_UNIT };
    let memory = Kind { resource: "memory", unit_name: "bytes", unit: MEMORY_BYTES_UNIT };
    let cpu =
        cpu.spread(shares(|c| (c.resources.requests.cpu_millis, c.resources.limits.cpu_millis)), wanted.cpu_millis)?;
    let of_memory = |c: &Container| (c.resources.requests.memory_bytes, c.resources.limits.memory_bytes);
    let memory = memory.spread(shares(of_memory), wanted.memory_bytes)?;
    let both = |(cpu, memory): (Share, Share)| {
        let mut resources = Resources::default();
        (resources.requests.cpu_millis, resources.limits.cpu_millis) = (cpu.request, cpu.limit);
        (resources.requests.memory_bytes, resources.limits.memory_bytes) = (memory.request, memory.limit);
        resources
    };
    Ok(cpu.into_iter().zip(memory).map(both).collect())
}

/// What a container has of one resource.
#[derive(Clone, Copy)]
struct Share {
    request: Option<u64>,
    limit: Option<u64>,
    is_sized: bool,
}

impl Share {
    fn size(&self) -> u64 {
        self.limit.or(self.request).unwrap_or(0)
    }
}

/// A resource, and what it is given in.
struct Kind {
    resource: &'static str,
    unit_name: &'static str,
    unit: u64,
}

impl Kind {
    fn spread(&self, mut shares: Vec<Share>, wanted: u64) -> Result<Vec<Share>, Unfit> {
        let of = |is_sized: bool| shares.iter().filter(move |s| s.is_sized == is_sized).map(Share::size);
        let (sized, others) = (of(true).fold(0, u64::saturating_add), of(false).fold(0, u64::saturating_add));
        let parts = of(true).filter(|size| *size > 0).count() as u64;
        // Rounding makes each part larger by less than a unit.
        let fits = wanted..wanted.saturating_add((self.unit * parts).max(1));
        if fits.contains(&sized.saturating_add(others)) {
            return Ok(shares);
        }
        if parts == 0 {
            return Err(Unfit::Unsized { resource: self.resource });
        }
        let Some(target) = wanted.checked_sub(others).filter(|target| *target > 0) else {
            return Err(Unfit::Taken { resource: self.resource, others, wanted, unit: self.unit_name });
        };
        let scaled = |amount: u64| {
            let exact = u128::from(amount) * u128::from(target);
            let units = exact.div_ceil(u128::from(sized) * u128::from(self.unit));
            u64::try_from(units).unwrap_or(u64::MAX).saturating_mul(self.unit)
        };
        for share in shares.iter_mut().filter(|share| share.is_sized) {
            (share.request, share.limit) = (share.request.map(scaled), share.limit.map(scaled));
        }
        Ok(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_kubernetes::resources::Amounts;
    use proptest::prelude::*;
    use std::slice::from_ref;

    const MIB: u64 = 1 << 20;

    fn amounts(cpu_millis: Option<u64>, memory_bytes: Option<u64>) -> Amounts {
        Amounts { cpu_millis, memory_bytes }
    }

    fn container(name: &str, requests: Amounts, limits: Amounts) -> Container {
        let resources = Resources { requests, limits };
        Container { name: name.to_owned(), resources, restarts_for_cpu: false, restarts_for_memory: false }
    }

    fn both(name: &str, cpu_millis: u64, mib: u64) -> Container {
        let all = amounts(Some(cpu_millis), Some(mib * MIB));
        container(name, all, all)
    }

    fn of_all(containers: &[Container], cpu_millis: u64, mib: u64) -> Result<Vec<Resources>, Unfit> {
        fitted(containers, |_| true, Wanted { cpu_millis, memory_bytes: mib * MIB })
    }

    #[test]
    fn a_replica_of_a_capacity_is_in_whole_millicores_and_bytes() {
        let of = |cores: f64, bytes: f64| {
            let capacity = Capacity {
                replicas: 3,
                cpu_cores_per_replica: cores,
                memory_bytes_per_replica: bytes,
                instance_type: None,
            };
            let Wanted { cpu_millis, memory_bytes } = Wanted::of(&capacity);
            (cpu_millis, memory_bytes)
        };
        assert_eq!(of(0.1 + 0.2, 1e9), (300, 1_000_000_000));
        assert_eq!(of(0.3001, 1e9 + 0.25), (301, 1_000_000_000));
        assert_eq!(of(f64::NAN, -5.0), (0, 0));
    }

    #[test]
    fn it_is_spread_in_proportion_and_the_ratio_of_request_to_limit_stays() {
        let app = container("app", amounts(Some(500), Some(512 * MIB)), amounts(Some(1000), Some(1024 * MIB)));
        let helper = container("helper", amounts(Some(250), Some(512 * MIB)), amounts(None, Some(1024 * MIB)));
        let sized = of_all(&[app, helper], 2500, 1024).unwrap();
        assert_eq!(sized[0].limits, amounts(Some(2000), Some(512 * MIB)));
        assert_eq!(sized[0].requests, amounts(Some(1000), Some(256 * MIB)));
        assert_eq!(sized[1].limits, amounts(None, Some(512 * MIB)), "what is absent stays absent");
        assert_eq!(sized[1].requests, amounts(Some(500), Some(256 * MIB)));
    }

    #[test]
    fn those_that_are_not_sized_keep_what_they_have() {
        let containers = [both("app", 1000, 1024), both("proxy", 100, 128)];
        let of_app =
            |cpu_millis, mib| fitted(&containers, |name| name == "app", Wanted { cpu_millis, memory_bytes: mib * MIB });
        let sized = of_app(2100, 640).unwrap();
        assert_eq!((sized[0].limits, sized[1]), (amounts(Some(2000), Some(512 * MIB)), containers[1].resources));
        assert_eq!(
            of_app(100, 640),
            Err(Unfit::Taken { resource: "cpu", others: 100, wanted: 100, unit: "millicores" })
        );
    }

    #[test]
    fn what_asks_for_nothing_cannot_be_sized() {
        let nothing = container("app", Amounts::default(), Amounts::default());
        assert_eq!(of_all(from_ref(&nothing), 500, 0), Err(Unfit::Unsized { resource: "cpu" }));
        let memory = container("app", amounts(None, Some(MIB)), Amounts::default());
        assert_eq!(of_all(from_ref(&memory), 0, 2).unwrap()[0].requests, amounts(None, Some(2 * MIB)));
        assert!(of_all(from_ref(&memory), 1, 2).is_err());
        assert!(of_all(from_ref(&nothing), 0, 0).is_ok(), "nothing is wanted");
    }

    fn any_container() -> impl Strategy<Value = Container> {
        let pair = |max: u64| (1..max, 1..max, any::<bool>(), any::<bool>());
        (pair(64_000), pair(1 << 38)).prop_map(|(cpu, memory)| {
            let read = |(a, b, has_limit, has_request): (u64, u64, bool, bool)| {
                let request = (has_request || !has_limit).then_some(a.min(b));
                (request, has_limit.then_some(a.max(b)))
            };
            let ((cpu_request, cpu_limit), (memory_request, memory_limit)) = (read(cpu), read(memory));
            container("c", amounts(cpu_request, memory_request), amounts(cpu_limit, memory_limit))
        })
    }

    proptest! {
        #[test]
        fn they_come_to_what_is_wanted_and_then_stay(
            containers in prop::collection::vec(any_container(), 1..5),
            cpu_millis in 1..200_000_u64,
            memory_bytes in 1..1_u64 << 40,
        ) {
            let wanted = Wanted { cpu_millis, memory_bytes };
            let sized = fitted(&containers, |_| true, wanted).unwrap();
            let parts = containers.len() as u64;
            let cpu: u64 = sized.iter().filter_map(|r| r.size().cpu_millis).sum();
            let memory: u64 = sized.iter().filter_map(|r| r.size().memory_bytes).sum();
            prop_assert!((cpu_millis..cpu_millis + parts).contains(&cpu), "{cpu} of {cpu_millis}");
            prop_assert!((memory_bytes..memory_bytes + parts * MIB).contains(&memory), "{memory} of {memory_bytes}");
            for (before, after) in containers.iter().zip(&sized) {
                let (before, after) = (before.resources, *after);
                prop_assert_eq!(before.limits.cpu_millis.is_some(), after.limits.cpu_millis.is_some());
                prop_assert_eq!(before.requests.memory_bytes.is_some(), after.requests.memory_bytes.is_some());
                if let (Some(request), Some(limit)) = (after.requests.cpu_millis, after.limits.cpu_millis) {
                    prop_assert!(request <= limit);
                }
                if before.requests.memory_bytes == before.limits.memory_bytes {
                    prop_assert_eq!(after.requests.memory_bytes, after.limits.memory_bytes);
                }
            }
            let then: Vec<Container> = containers
                .iter()
                .zip(&sized)
                .map(|(container, resources)| Container { resources: *resources, ..container.clone() })
                .collect();
            prop_assert_eq!(fitted(&then, |_| true, wanted).unwrap(), sized);
        }
    }
}
