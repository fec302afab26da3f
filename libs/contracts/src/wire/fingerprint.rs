//! `schemas/fingerprints.avsc`.

use super::Wire;
use super::capacity::{Capacity, Platform};
use super::check::{self, Fault, Within};
use prescale_domain::fingerprint as domain;
use prescale_domain::kpi::KpiName;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
struct Season {
    period_s: f64,
    amplitude: f64,
    phase_rad: f64,
    strength: f64,
}

impl Season {
    fn of(season: &domain::Season) -> Self {
        let domain::Season { period_s, amplitude, phase_rad, strength } = *season;
        Self { period_s, amplitude, phase_rad, strength }
    }

    fn check(&self) -> Result<(), Fault> {
        check::finite("period_s", self.period_s)?;
        check::finite("amplitude", self.amplitude)?;
        check::finite("phase_rad", self.phase_rad)?;
        check::finite("strength", self.strength)
    }

    fn into_domain(self) -> domain::Season {
        let Self { period_s, amplitude, phase_rad, strength } = self;
        domain::Season { period_s, amplitude, phase_rad, strength }
    }
}

#[derive(Serialize, Deserialize)]
struct WindowFeatures {
    count: i64,
    missing_share: f64,
    mean: Option<f64>,
    std_dev: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    trend_per_h: Option<f64>,
    trend_std_err: Option<f64>,
    trend_r2: Option<f64>,
    top_seasons: Vec<Season>,
    season_1h: Option<Season>,
    season_24h: Option<Season>,
    season_7d: Option<Season>,
    acf_1h: Option<f64>,
    acf_24h: Option<f64>,
    acf_7d: Option<f64>,
    burstiness: Option<f64>,
    extra: BTreeMap<String, Option<f64>>,
}

impl WindowFeatures {
    fn of(f: &domain::WindowFeatures) -> Self {
        Self {
            count: i64::try_from(f.count).unwrap_or(i64::MAX),
            missing_share: f.missing_share,
            mean: f.mean,
            std_dev: f.std_dev,
            min: f.min,
            max: f.max,
            p50: f.p50,
            p90: f.p90,
            p95: f.p95,
            p99: f.p99,
            trend_per_h: f.trend_per_h,
            trend_std_err: f.trend_std_err,
            trend_r2: f.trend_r2,
            top_seasons: f.top_seasons.iter().map(Season::of).collect(),
            season_1h: f.season_1h.as_ref().map(Season::of),
            season_24h: f.season_24h.as_ref().map(Season::of),
            season_7d: f.season_7d.as_ref().map(Season::of),
            acf_1h: f.acf_1h,
            acf_24h: f.acf_24h,
            acf_7d: f.acf_7d,
            burstiness: f.burstiness,
            extra: f.extra.clone(),
        }
    }

    fn numbers(&self) -> [(&'static str, Option<f64>); 15] {
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
        check::share("missing_share", self.missing_share)?;
        for (field, value) in self.numbers() {
            check::finite_if_any(field, value)?;
        }
        for (i, season) in self.top_seasons.iter().enumerate() {
            season.check().within_item("top_seasons", i)?;
        }
        let fixed = [("season_1h", &self.season_1h), ("season_24h", &self.season_24h), ("season_7d", &self.season_7d)];
        for (field, season) in fixed {
            season.as_ref().map_or(Ok(()), Season::check).within(field)?;
        }
        self.extra.iter().try_for_each(|(name, value)| check::finite_if_any(name, *value)).within("extra")
    }

    fn into_domain(self) -> domain::WindowFeatures {
        domain::WindowFeatures {
            count: u64::try_from(self.count).unwrap_or(0),
            missing_share: self.missing_share,
            mean: self.mean,
            std_dev: self.std_dev,
            min: self.min,
            max: self.max,
            p50: self.p50,
            p90: self.p90,
            p95: self.p95,
            p99: self.p99,
            trend_per_h: self.trend_per_h,
            trend_std_err: self.trend_std_err,
            trend_r2: self.trend_r2,
            top_seasons: self.top_seasons.into_iter().map(Season::into_domain).collect(),
            season_1h: self.season_1h.map(Season::into_domain),
            season_24h: self.season_24h.map(Season::into_domain),
            season_7d: self.season_7d.map(Season::into_domain),
            acf_1h: self.acf_1h,
            acf_24h: self.acf_24h,
            acf_7d: self.acf_7d,
            burstiness: self.burstiness,
            extra: self.extra,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct KpiFingerprint {
    name: String,
    unit: String,
    last: Option<f64>,
    short: WindowFeatures,
    long: WindowFeatures,
}

impl KpiFingerprint {
    fn of(kpi: &domain::KpiFingerprint) -> Self {
        Self {
            name: kpi.name.as_str().to_owned(),
            unit: kpi.unit.as_ref().to_owned(),
            last: kpi.last,
            short: WindowFeatures::of(&kpi.short),
            long: WindowFeatures::of(&kpi.long),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("name", &self.name)?;
        check::finite_if_any("last", self.last)?;
        self.short.check().within("short")?;
        self.long.check().within("long")
    }

    fn into_domain(self) -> domain::KpiFingerprint {
        domain::KpiFingerprint {
            name: KpiName::new(&self.name),
            unit: self.unit.into(),
            last: self.last,
            short: self.short.into_domain(),
            long: self.long.into_domain(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    workload: String,
    source: String,
    at: i64,
    step_s: i64,
    short_window_s: i64,
    long_window_s: i64,
    feature_schema_hash: String,
    kpis: Vec<KpiFingerprint>,
    capacity: Option<Capacity>,
    platform: Platform,
}

impl Wire for Fingerprint {
    type Domain = domain::Fingerprint;
    const RECORD: &'static str = "Fingerprint";

    fn of(fingerprint: &domain::Fingerprint) -> Self {
        Self {
            workload: fingerprint.workload.as_str().to_owned(),
            source: fingerprint.source.as_ref().to_owned(),
            at: fingerprint.at.as_ms(),
            step_s: fingerprint.step_s.into(),
            short_window_s: fingerprint.short_window_s.into(),
            long_window_s: fingerprint.long_window_s.into(),
            feature_schema_hash: fingerprint.feature_schema_hash.as_ref().to_owned(),
            kpis: fingerprint.kpis.iter().map(KpiFingerprint::of).collect(),
            capacity: fingerprint.capacity.as_ref().map(Capacity::of),
            platform: fingerprint.platform.into(),
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("source", &self.source)?;
        check::instant("at", self.at)?;
        check::positive("step_s", self.step_s)?;
        check::positive("short_window_s", self.short_window_s)?;
        check::positive("long_window_s", self.long_window_s)?;
        check::not_empty("feature_schema_hash", &self.feature_schema_hash)?;
        for (i, kpi) in self.kpis.iter().enumerate() {
            kpi.check().within_item("kpis", i)?;
        }
        let names: Vec<&str> = self.kpis.iter().map(|k| k.name.as_str()).collect();
        check::ascending("kpis", "name", &names)?;
        self.capacity.as_ref().map_or(Ok(()), Capacity::check).within("capacity")
    }

    fn into_domain(self) -> Result<domain::Fingerprint, Fault> {
        Ok(domain::Fingerprint {
            workload: check::workload(&self.workload)?,
            source: self.source.into(),
            at: EventTime::from_ms(self.at),
            step_s: check::positive("step_s", self.step_s)?,
            short_window_s: check::positive("short_window_s", self.short_window_s)?,
            long_window_s: check::positive("long_window_s", self.long_window_s)?,
            feature_schema_hash: self.feature_schema_hash.into(),
            kpis: self.kpis.into_iter().map(KpiFingerprint::into_domain).collect(),
            capacity: self.capacity.map(Capacity::into_domain).transpose().within("capacity")?,
            platform: self.platform.into(),
        })
    }
}
