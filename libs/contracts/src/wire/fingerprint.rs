//! `schemas/fingerprints.avsc`.

use super::anomaly::AnomalyScore;
use super::capacity::{Capacity, Platform};
use super::check::{self, Within};
use crate::mirror::{Fault, Wire};
use crate::names::Name;
use prescale_domain::fingerprint as domain;
use prescale_domain::kpi::KpiName;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Periods of the seasons that have a field of their own, with its name.
const FIXED_PERIODS: [(&str, f64); 3] = [("season_1h", 3600.0), ("season_24h", 86_400.0), ("season_7d", 604_800.0)];

fn narrow(value: Option<f64>) -> Option<f32> {
    value.map(|v| v as f32)
}

fn widened(value: Option<f32>) -> Option<f64> {
    value.map(f64::from)
}

#[derive(Serialize, Deserialize)]
struct Season {
    period_s: f32,
    amplitude: f32,
    phase_rad: f32,
    strength: f32,
}

impl Season {
    fn of(season: &domain::Season) -> Self {
        Self {
            period_s: season.period_s as f32,
            amplitude: season.amplitude as f32,
            phase_rad: season.phase_rad as f32,
            strength: season.strength as f32,
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::finite_f32("period_s", self.period_s)?;
        check::finite_f32("amplitude", self.amplitude)?;
        check::finite_f32("phase_rad", self.phase_rad)?;
        check::finite_f32("strength", self.strength)
    }

    fn into_domain(self) -> domain::Season {
        domain::Season {
            period_s: self.period_s.into(),
            amplitude: self.amplitude.into(),
            phase_rad: self.phase_rad.into(),
            strength: self.strength.into(),
        }
    }
}

/// A season whose period follows from the name of its field.
#[derive(Serialize, Deserialize)]
struct FixedSeason {
    amplitude: f32,
    phase_rad: f32,
    strength: f32,
}

impl FixedSeason {
    fn of(season: &domain::Season) -> Self {
        Self {
            amplitude: season.amplitude as f32,
            phase_rad: season.phase_rad as f32,
            strength: season.strength as f32,
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::finite_f32("amplitude", self.amplitude)?;
        check::finite_f32("phase_rad", self.phase_rad)?;
        check::finite_f32("strength", self.strength)
    }

    fn into_domain(self, period_s: f64) -> domain::Season {
        domain::Season {
            period_s,
            amplitude: self.amplitude.into(),
            phase_rad: self.phase_rad.into(),
            strength: self.strength.into(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct WindowFeatures {
    count: i64,
    missing_share: f32,
    mean: Option<f32>,
    std_dev: Option<f32>,
    min: Option<f32>,
    max: Option<f32>,
    p50: Option<f32>,
    p90: Option<f32>,
    p95: Option<f32>,
    p99: Option<f32>,
    trend_per_h: Option<f32>,
    trend_std_err: Option<f32>,
    trend_r2: Option<f32>,
    top_seasons: Vec<Season>,
    season_1h: Option<FixedSeason>,
    season_24h: Option<FixedSeason>,
    season_7d: Option<FixedSeason>,
    acf_1h: Option<f32>,
    acf_24h: Option<f32>,
    acf_7d: Option<f32>,
    burstiness: Option<f32>,
    extra: BTreeMap<String, Option<f32>>,
}

impl WindowFeatures {
    fn of(f: &domain::WindowFeatures) -> Self {
        Self {
            count: i64::try_from(f.count).unwrap_or(i64::MAX),
            missing_share: f.missing_share as f32,
            mean: narrow(f.mean),
            std_dev: narrow(f.std_dev),
            min: narrow(f.min),
            max: narrow(f.max),
            p50: narrow(f.p50),
            p90: narrow(f.p90),
            p95: narrow(f.p95),
            p99: narrow(f.p99),
            trend_per_h: narrow(f.trend_per_h),
            trend_std_err: narrow(f.trend_std_err),
            trend_r2: narrow(f.trend_r2),
            top_seasons: f.top_seasons.iter().map(Season::of).collect(),
            season_1h: f.season_1h.as_ref().map(FixedSeason::of),
            season_24h: f.season_24h.as_ref().map(FixedSeason::of),
            season_7d: f.season_7d.as_ref().map(FixedSeason::of),
            acf_1h: narrow(f.acf_1h),
            acf_24h: narrow(f.acf_24h),
            acf_7d: narrow(f.acf_7d),
            burstiness: narrow(f.burstiness),
            extra: f.extra.iter().map(|(name, value)| (name.clone(), narrow(*value))).collect(),
        }
    }

    fn numbers(&self) -> [(&'static str, Option<f32>); 15] {
        [
            ("mean", self.mean),
            ("std_dev", self.std_dev),
            ("min", self.min),
            ("max", self.max),
            ("p50", self.p50),
            ("p90", self.p90),
            ("p95", self.p95),
            ("p99", self.p99),
            ("trend_per_h", self.trend_per_h),
            ("trend_std_err", self.trend_std_err),
            ("trend_r2", self.trend_r2),
            ("acf_1h", self.acf_1h),
            ("acf_24h", self.acf_24h),
            ("acf_7d", self.acf_7d),
            ("burstiness", self.burstiness),
        ]
    }

    fn check(&self) -> Result<(), Fault> {
        u64::try_from(self.count).map_err(|_| Fault::new("count", format!("{} is below zero", self.count)))?;
        check::share("missing_share", self.missing_share.into())?;
        for (field, value) in self.numbers() {
            check::finite_f32_if_any(field, value)?;
        }
        for (i, season) in self.top_seasons.iter().enumerate() {
            season.check().within_item("top_seasons", i)?;
        }
        for ((field, _), season) in FIXED_PERIODS.into_iter().zip([&self.season_1h, &self.season_24h, &self.season_7d])
        {
            season.as_ref().map_or(Ok(()), FixedSeason::check).within(field)?;
        }
        self.extra.iter().try_for_each(|(name, value)| check::finite_f32_if_any(name, *value)).within("extra")
    }

    fn into_domain(self) -> domain::WindowFeatures {
        let [(_, hour_s), (_, day_s), (_, week_s)] = FIXED_PERIODS;
        domain::WindowFeatures {
            count: u64::try_from(self.count).unwrap_or(0),
            missing_share: self.missing_share.into(),
            mean: widened(self.mean),
            std_dev: widened(self.std_dev),
            min: widened(self.min),
            max: widened(self.max),
            p50: widened(self.p50),
            p90: widened(self.p90),
            p95: widened(self.p95),
            p99: widened(self.p99),
            trend_per_h: widened(self.trend_per_h),
            trend_std_err: widened(self.trend_std_err),
            trend_r2: widened(self.trend_r2),
            top_seasons: self.top_seasons.into_iter().map(Season::into_domain).collect(),
            season_1h: self.season_1h.map(|season| season.into_domain(hour_s)),
            season_24h: self.season_24h.map(|season| season.into_domain(day_s)),
            season_7d: self.season_7d.map(|season| season.into_domain(week_s)),
            acf_1h: widened(self.acf_1h),
            acf_24h: widened(self.acf_24h),
            acf_7d: widened(self.acf_7d),
            burstiness: widened(self.burstiness),
            extra: self.extra.into_iter().map(|(name, value)| (name, widened(value))).collect(),
        }
    }
}

/// That seasons with a field of their own have its period.
fn periods_follow(window: &domain::WindowFeatures) -> Result<(), Fault> {
    for ((field, period_s), season) in
        FIXED_PERIODS.into_iter().zip([&window.season_1h, &window.season_24h, &window.season_7d])
    {
        if let Some(stated) = season.as_ref().map(|season| season.period_s).filter(|stated| *stated != period_s) {
            let problem = format!("{stated} s is not the field's period of {period_s} s");
            return Err(Fault::new("period_s", problem)).within(field);
        }
    }
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Windows {
    short: WindowFeatures,
    long: WindowFeatures,
}

impl Windows {
    fn of(windows: &domain::Windows) -> Self {
        Self { short: WindowFeatures::of(&windows.short), long: WindowFeatures::of(&windows.long) }
    }

    fn follows(windows: &domain::Windows) -> Result<(), Fault> {
        periods_follow(&windows.short).within("short")?;
        periods_follow(&windows.long).within("long")
    }

    fn check(&self) -> Result<(), Fault> {
        self.short.check().within("short")?;
        self.long.check().within("long")
    }

    fn into_domain(self) -> domain::Windows {
        domain::Windows { short: self.short.into_domain(), long: self.long.into_domain() }
    }
}

#[derive(Serialize, Deserialize)]
struct KpiFingerprint {
    name: Name,
    unit: Name,
    last: Option<f64>,
    windows: Option<Windows>,
}

impl KpiFingerprint {
    fn of(kpi: &domain::KpiFingerprint) -> Self {
        Self {
            name: Name(kpi.name.shared()),
            unit: Name(kpi.unit.clone()),
            last: kpi.last,
            windows: kpi.windows.as_deref().map(Windows::of),
        }
    }

    fn follows(kpi: &domain::KpiFingerprint) -> Result<(), Fault> {
        kpi.windows.as_deref().map_or(Ok(()), Windows::follows).within("windows")
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("name", &self.name)?;
        check::finite_if_any("last", self.last)?;
        self.windows.as_ref().map_or(Ok(()), Windows::check).within("windows")
    }

    fn into_domain(self) -> domain::KpiFingerprint {
        domain::KpiFingerprint {
            name: KpiName::from(self.name.0),
            unit: self.unit.0,
            last: self.last,
            windows: self.windows.map(|windows| Box::new(windows.into_domain())),
        }
    }
}

/// All KPIs have features, or none has.
fn check_windows(kpis: &[KpiFingerprint]) -> Result<(), Fault> {
    match kpis.windows(2).position(|pair| pair[0].windows.is_some() != pair[1].windows.is_some()) {
        None => Ok(()),
        Some(i) => {
            let problem = "is there of some KPIs and not of others: all KPIs of a record have features, or none has";
            Err(Fault::new("windows", problem)).within_item("kpis", i + 1)
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    workload: String,
    source: Name,
    at: i64,
    step_s: i64,
    short_window_s: i64,
    long_window_s: i64,
    feature_schema_hash: Name,
    kpis: Vec<KpiFingerprint>,
    anomaly: Option<AnomalyScore>,
    capacity: Option<Capacity>,
    platform: Platform,
}

impl Wire for Fingerprint {
    type Domain = domain::Fingerprint;
    const RECORD: &'static str = "Fingerprint";

    fn of(fingerprint: &domain::Fingerprint) -> Self {
        Self {
            workload: fingerprint.workload.as_str().to_owned(),
            source: Name(fingerprint.source.shared()),
            at: fingerprint.at.as_ms(),
            step_s: fingerprint.step_s.into(),
            short_window_s: fingerprint.short_window_s.into(),
            long_window_s: fingerprint.long_window_s.into(),
            feature_schema_hash: Name(fingerprint.feature_schema_hash.clone()),
            kpis: fingerprint.kpis.iter().map(KpiFingerprint::of).collect(),
            anomaly: fingerprint.anomaly.as_ref().map(AnomalyScore::of),
            capacity: fingerprint.capacity.as_ref().map(Capacity::of),
            platform: fingerprint.platform.into(),
        }
    }

    fn follows(fingerprint: &domain::Fingerprint) -> Result<(), Fault> {
        for (i, kpi) in fingerprint.kpis.iter().enumerate() {
            KpiFingerprint::follows(kpi).within_item("kpis", i)?;
        }
        Ok(())
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("at", self.at)?;
        check::positive("step_s", self.step_s)?;
        check::positive("short_window_s", self.short_window_s)?;
        check::positive("long_window_s", self.long_window_s)?;
        check::not_empty("feature_schema_hash", &self.feature_schema_hash)?;
        for (i, kpi) in self.kpis.iter().enumerate() {
            kpi.check().within_item("kpis", i)?;
        }
        let names: Vec<&str> = self.kpis.iter().map(|k| &*k.name).collect();
        check::ascending("kpis", "name", &names)?;
        check_windows(&self.kpis)?;
        self.anomaly.as_ref().map_or(Ok(()), AnomalyScore::check).within("anomaly")?;
        self.capacity.as_ref().map_or(Ok(()), Capacity::check).within("capacity")
    }

    fn into_domain(self) -> Result<domain::Fingerprint, Fault> {
        Ok(domain::Fingerprint {
            workload: check::workload(&self.workload)?,
            source: check::source(self.source.0)?,
            at: EventTime::from_ms(self.at),
            step_s: check::positive("step_s", self.step_s)?,
            short_window_s: check::positive("short_window_s", self.short_window_s)?,
            long_window_s: check::positive("long_window_s", self.long_window_s)?,
            feature_schema_hash: self.feature_schema_hash.0,
            kpis: self.kpis.into_iter().map(KpiFingerprint::into_domain).collect(),
            anomaly: self.anomaly.map(AnomalyScore::into_domain),
            capacity: self.capacity.map(Capacity::into_domain).transpose().within("capacity")?,
            platform: self.platform.into_domain()?,
        })
    }
}
