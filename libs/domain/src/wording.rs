//! Numbers and capacities as readers want them. Used for reasons and explanations only.

use crate::action::Reason;
use crate::calibration::drift::DriftState;
use crate::prediction::ResourceForecast;
use crate::resource::Resource;
use crate::sample::Capacity;
use crate::time::EventTime;

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;

/// Up to three decimals, without trailing zeros; scientific where that would hide the number.
pub(crate) fn number(x: f64) -> String {
    if x != 0.0 && x.abs() < 0.000_5 {
        return format!("{x:.2e}");
    }
    let text = format!("{x:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(crate) fn cores(x: f64) -> String {
    format!("{} {}", number(x), if x == 1.0 { "core" } else { "cores" })
}

pub(crate) fn bytes(x: f64) -> String {
    if x.abs() >= GIB { format!("{} GiB", number(x / GIB)) } else { format!("{} MiB", number(x / MIB)) }
}

impl Resource {
    /// An amount of it as text with its unit.
    pub(crate) fn amount(self, amount: f64) -> String {
        match self {
            Self::Cpu => cores(amount),
            Self::Memory => bytes(amount),
        }
    }
}

pub(crate) fn replicas(n: u32) -> String {
    counted(n as usize, "replica")
}

/// A count of what has a plural by `s`.
pub(crate) fn counted(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

pub(crate) fn capacity(c: &Capacity) -> String {
    let size = format!("{} and {}", cores(c.cpu_cores_per_replica), bytes(c.memory_bytes_per_replica));
    match &c.instance_type {
        Some(name) => format!("{} of {name} ({size})", replicas(c.replicas)),
        None => format!("{} of {size}", replicas(c.replicas)),
    }
}

/// What a decision goes by (`base`), said to be what serves now or what is planned and has not come.
pub(crate) fn capacity_gone_by(base: &Capacity, serves: Option<&Capacity>) -> String {
    labelled(capacity(base), serves.map(capacity))
}

/// As [`capacity_gone_by`], of one resource over all replicas.
pub(crate) fn amount_gone_by(resource: Resource, base: &Capacity, serves: Option<&Capacity>) -> String {
    let amount = |of: &Capacity| resource.amount(resource.of(of));
    labelled(amount(base), serves.map(amount))
}

/// As [`capacity_gone_by`], of the count of replicas.
pub(crate) fn replicas_gone_by(base: &Capacity, serves: Option<&Capacity>) -> String {
    labelled(replicas(base.replicas), serves.map(|of| replicas(of.replicas)))
}

fn labelled(base: String, serves: Option<String>) -> String {
    match serves.filter(|serves| *serves != base) {
        Some(serves) => format!("{base} (planned; {serves} serve now)"),
        None => format!("{base} (serving now)"),
    }
}

/// What made a forecast, and what drift has done to it.
pub(crate) fn model(forecast: &ResourceForecast) -> String {
    let model = &forecast.model;
    match forecast.drift {
        None | Some(DriftState::Stable) => model.as_ref().to_owned(),
        Some(DriftState::Widened) => format!("{model}, its interval widened after drift"),
        Some(DriftState::Reset) => format!("{model}, its interval widened and calibrated anew after drift"),
        Some(DriftState::FallenBack) => format!("{model} in place of another model after drift, its interval widened"),
    }
}

pub(crate) fn reason(rule: &str, text: String) -> Reason {
    Reason { rule: rule.into(), text }
}

/// The instant as RFC 3339 in UTC, to the second. The date is reckoned as in Howard Hinnant,
/// "chrono-compatible low-level date algorithms" (civil_from_days).
pub(crate) fn instant(at: EventTime) -> String {
    let seconds = at.as_ms().div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_vanish() {
        assert_eq!(number(5.72), "5.72");
        assert_eq!(number(12.0), "12");
        assert_eq!(number(0.0), "0");
        assert_eq!(number(0.000_12), "1.20e-4");
        assert_eq!(bytes(1.5 * GIB), "1.5 GiB");
        assert_eq!(bytes(256.0 * MIB), "256 MiB");
        assert_eq!((cores(1.0), cores(2.5)), ("1 core".to_owned(), "2.5 cores".to_owned()));
        assert_eq!([0, 1, 2].map(|n| counted(n, "change")), ["0 changes", "1 change", "2 changes"]);
    }

    #[test]
    fn what_a_decision_goes_by_is_said_to_serve_or_to_be_planned() {
        let of = |replicas: u32| Capacity {
            replicas,
            cpu_cores_per_replica: 2.0,
            memory_bytes_per_replica: GIB,
            instance_type: None,
        };
        assert_eq!(amount_gone_by(Resource::Cpu, &of(3), Some(&of(3))), "6 cores (serving now)");
        assert_eq!(amount_gone_by(Resource::Cpu, &of(3), Some(&of(4))), "6 cores (planned; 8 cores serve now)");
        assert_eq!(amount_gone_by(Resource::Memory, &of(3), Some(&of(4))), "3 GiB (planned; 4 GiB serve now)");
        assert_eq!(replicas_gone_by(&of(3), Some(&of(4))), "3 replicas (planned; 4 replicas serve now)");
        let planned = "3 replicas of 2 cores and 1 GiB (planned; 4 replicas of 2 cores and 1 GiB serve now)";
        assert_eq!(capacity_gone_by(&of(3), Some(&of(4))), planned);
        assert_eq!(capacity_gone_by(&of(3), None), "3 replicas of 2 cores and 1 GiB (serving now)");
    }

    #[test]
    fn instants_are_rfc_3339() {
        assert_eq!(instant(EventTime::from_s(0)), "1970-01-01T00:00:00Z");
        assert_eq!(instant(EventTime::from_s(951_782_400)), "2000-02-29T00:00:00Z");
        assert_eq!(instant(EventTime::from_s(1_798_761_599)), "2026-12-31T23:59:59Z");
        assert_eq!(instant(EventTime::from_s(-1)), "1969-12-31T23:59:59Z");
    }
}
