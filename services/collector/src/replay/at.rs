//! The instant of a trace's rows as an expression: in any unit, and compared as the file has it.

use super::mapping::InstantUnit;
use super::numbers::is_text;
use anyhow::{Result, bail};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::functions::math::expr_fn::round;
use datafusion::logical_expr::ExprSchemable;
use datafusion::prelude::{DataFrame, Expr, cast, lit, try_cast};
use datafusion::scalar::ScalarValue;
use prescale_contracts::rfc3339;
use prescale_domain::time::EventTime;
use std::sync::Arc;

/// A range of instants, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first.
    pub from_ms: i64,
    /// The end, itself left out; `None` for the file's.
    pub to_ms: Option<i64>,
}

/// The year 9999 ends there, in seconds.
const SECONDS_MAX: f64 = 253_402_300_799.0;
/// From 1990 to 2100, in seconds: when traces are made.
const LIKELY_S: std::ops::Range<f64> = 631_152_000.0..4_102_444_800.0;
/// What a timestamp of 64 bits can say in nanoseconds.
const NANOSECONDS_RANGE_MS: std::ops::Range<i64> = i64::MIN / 1_000_000 + 1..i64::MAX / 1_000_000;

/// The instant as an expression.
#[derive(Clone)]
pub(super) struct Instant {
    unit: InstantUnit,
    /// Milliseconds since 1970.
    pub(super) at_ms: Expr,
    /// As it is in the file, and so many of its units in a second, where it can be compared with
    /// numbers or timestamps, so that DataFusion can leave out what is out of the range.
    raw: Option<(Expr, RawInstant)>,
}

#[derive(Clone, Debug)]
enum RawInstant {
    Whole { per_s: i64, before_1970_s: i64 },
    Real { per_s: f64, before_1970_s: f64 },
    Timestamp { zone: Option<Arc<str>> },
}

/// A number of seconds as an instant.
fn shown(seconds: f64) -> String {
    rfc3339(EventTime::from_ms((1000.0 * seconds) as i64))
}

impl Instant {
    /// Of an expression over the rows.
    ///
    /// # Errors
    /// When its type does not go with the unit.
    pub(super) fn of(value: Expr, unit: InstantUnit, rows: &DataFrame) -> Result<Self> {
        use InstantUnit::{Auto, Rfc3339};
        let kind = value.get_type(rows.schema())?;
        let to_whole = |value: Expr| try_cast(value, DataType::Int64);
        let is_text = is_text(&kind);
        let (per_s, before_1970_s) = unit.scale().unwrap_or((1, 0));
        let scaled = || {
            let since_begin = try_cast(value.clone(), DataType::Float64) * lit(1000.0 / per_s as f64);
            let at_ms = if before_1970_s == 0 { since_begin } else { since_begin - lit(1000.0 * before_1970_s as f64) };
            to_whole(round(vec![at_ms]))
        };
        Ok(match kind {
            DataType::Timestamp(_, zone) => Self {
                unit,
                at_ms: to_whole(cast(value.clone(), DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))),
                raw: Some((value, RawInstant::Timestamp { zone })),
            },
            DataType::Date32 | DataType::Date64 => {
                Self { unit, at_ms: to_whole(cast(value, DataType::Timestamp(TimeUnit::Millisecond, None))), raw: None }
            }
            _ if is_text && matches!(unit, Auto | Rfc3339) => {
                let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
                Self { unit, at_ms: to_whole(try_cast(value, utc)), raw: None }
            }
            _ if is_text => Self { unit, at_ms: scaled(), raw: None },
            kind if kind.is_integer() && unit != Rfc3339 => {
                Self { unit, at_ms: scaled(), raw: Some((value, RawInstant::Whole { per_s, before_1970_s })) }
            }
            kind if kind.is_numeric() && unit != Rfc3339 => {
                let (per_s, before_1970_s) = (per_s as f64, before_1970_s as f64);
                Self { unit, at_ms: scaled(), raw: Some((value, RawInstant::Real { per_s, before_1970_s })) }
            }
            kind => bail!(
                "[collector.replay.mapping] instant is of type {kind}, which does not go with instant_unit = \
                 \"{}\": a text, a number or a timestamp is needed",
                unit.name()
            ),
        })
    }

    /// As a number of its unit; `None` where it is none.
    pub(super) fn number(&self) -> Option<Expr> {
        match &self.raw {
            Some((value, RawInstant::Whole { .. } | RawInstant::Real { .. })) => {
                Some(cast(value.clone(), DataType::Float64))
            }
            _ => None,
        }
    }

    /// Refuses a first number that is no time in its unit, with the unit in which it is one.
    ///
    /// # Errors
    /// With the number, what it would be, and what to set.
    pub(super) fn check_unit(&self, first: f64) -> Result<()> {
        use InstantUnit::{Auto, Filetime, Ms, Ns, S, Us};
        let seconds =
            |unit: InstantUnit| unit.scale().map(|(per_s, before_1970_s)| first / per_s as f64 - before_1970_s as f64);
        let likely = [S, Ms, Us, Ns, Filetime]
            .into_iter()
            .find_map(|unit| seconds(unit).filter(|seconds| LIKELY_S.contains(seconds)).map(|seconds| (unit, seconds)));
        let Some(as_set) = seconds(self.unit) else { return Ok(()) };
        let is_possible = as_set <= SECONDS_MAX;
        // Traces may begin at zero: that is only held against a unit that was set when another fits.
        let is_as_meant =
            matches!(self.unit, Auto | S) || LIKELY_S.contains(&as_set) || as_set == 0.0 || likely.is_none();
        if is_possible && is_as_meant {
            return Ok(());
        }
        let unit = if self.unit == Auto { S.name() } else { self.unit.name() };
        match likely {
            Some((fits, seconds)) => bail!(
                "[collector.replay.mapping] instant: the first one, {first}, is hardly meant in {unit}, which would be \
                 {}; in {fits} it is {}: set instant_unit = \"{fits}\", on the command line time_unit={fits}",
                if is_possible { shown(as_set) } else { "after the year 9999".to_owned() },
                shown(seconds),
                fits = fits.name(),
            ),
            None => bail!(
                "[collector.replay.mapping] instant: the first one, {first}, is after the year 9999 in {unit}, and no \
                 time of these days in s, ms, us, ns or filetime: give an expression that makes seconds since 1970 of it"
            ),
        }
    }

    /// Whether it lies in a range.
    pub(super) fn within(&self, range: Range) -> Expr {
        let from = self.at_ms.clone().gt_eq(lit(range.from_ms));
        let exact = match range.to_ms {
            Some(to_ms) => from.and(self.at_ms.clone().lt(lit(to_ms))),
            None => from,
        };
        let Some((raw, kind)) = &self.raw else { return exact };
        // A little wider than the exact bounds, which round.
        let low = kind.bound(range.from_ms.saturating_sub(1), -1).map(|bound| raw.clone().gt_eq(bound));
        let high = range.to_ms.and_then(|ms| kind.bound(ms.saturating_add(1), 1)).map(|bound| raw.clone().lt_eq(bound));
        low.into_iter().chain(high).fold(exact, |all, bound| bound.and(all))
    }
}

impl RawInstant {
    /// The instant as the file has it, whole numbers moved by `slack`; `None` where it has none.
    fn bound(&self, ms: i64, slack: i64) -> Option<Expr> {
        match self {
            Self::Whole { per_s, before_1970_s } => {
                let whole_s = (ms / 1000).saturating_add(*before_1970_s);
                let whole = whole_s.saturating_mul(*per_s).saturating_add(ms % 1000 * *per_s / 1000);
                Some(lit(whole.saturating_add(slack)))
            }
            Self::Real { per_s, before_1970_s } => Some(lit((ms as f64 / 1000.0 + before_1970_s) * per_s)),
            Self::Timestamp { zone } => (NANOSECONDS_RANGE_MS.contains(&ms))
                .then(|| lit(ScalarValue::TimestampMillisecond(Some(ms), zone.clone()))),
        }
    }
}
