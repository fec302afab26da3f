//! Configuration of the detector: section `[detector]`.

use anyhow::{Context as _, Result, ensure};
use prescale_chassis::http_access::check_url;
use prescale_chassis::{GroupsConfig, HttpAccessConfig, Secret, selector};
use prescale_contracts::parse_rfc3339;
use prescale_domain::alarm::AlarmRules;
use prescale_domain::group::GroupName;
use prescale_domain::incident::{IncidentRules, Silence};
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) const ALERTMANAGER: &str = "detector.alertmanager";
pub(crate) const ALERTMANAGER_ACCESS: &str = "detector.alertmanager.access";
pub(crate) const WEBHOOK: &str = "detector.webhook";
pub(crate) const WEBHOOK_ACCESS: &str = "detector.webhook.access";

/// Labels that each alert at an Alertmanager has anyhow.
pub(crate) const OWN_LABELS: [&str; 4] = ["alertname", "fleet", "incident_id", "severity"];

/// Section `[detector]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A bin of 300 s with at most this p-value is unusual: an alarm that lasts goes on.
    pub p_value_max: f64,
    /// So many bins with at most `raise_p_value_max` raise an alarm,
    pub raise_bins: u32,
    /// among so many, 1 to 32.
    pub of_bins: u32,
    /// A bin with at most this p-value counts among those that raise an alarm; 0 for none.
    pub raise_p_value_max: f64,
    /// A bin with at most this p-value raises it alone; 0 for never.
    pub lone_p_value_max: f64,
    /// Evidence that has gathered over any number of bins and raises it, as a natural logarithm: one in e to this many
    /// ordinary bins. 0 for never.
    pub evidence_min: f64,
    /// So many bins in a row say as much as one, 1 to 288.
    pub correlated_bins: u32,
    /// So many usual bins in a row end it, 1 to 32.
    pub end_bins: u32,
    /// Each alarm of its last days makes the next one of a workload ask for p-values that are lower by this factor; 1 for
    /// none.
    pub again_ratio: f64,
    /// A workload or a KPI that is missing for so many bins while others of its source are heard of has fallen silent; 0
    /// for never.
    pub silent_bins: u32,
    /// What begins within so many seconds may be one incident, at most 86400.
    pub join_s: u32,
    /// From so many workloads on, at least 2, and
    pub fleet_members_min: u32,
    /// from this share of the fleet on, everything of it that begins in that time is of the incident.
    pub fleet_share_min: f64,
    /// An incident that lasts is told again after so many seconds, 3600 to 86400.
    pub repeat_s: u32,
    /// Whether alerts are written to the log.
    pub log: bool,
    /// Sections `[detector.silences.NAME]`: of whom nobody is to hear, and when.
    pub silences: BTreeMap<String, SilenceConfig>,
    /// Section `[detector.alertmanager]`.
    pub alertmanager: AlertmanagerConfig,
    /// Section `[detector.webhook]`.
    pub webhook: WebhookConfig,
}

/// Section `[detector.silences.NAME]`: a maintenance window, or a silence for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SilenceConfig {
    /// Patterns of workload names; empty for all.
    pub workloads: Vec<String>,
    /// Patterns of sources; empty for all.
    pub sources: Vec<String>,
    /// From when on, as in `2026-03-02T22:00:00Z`; empty for ever before.
    pub from: String,
    /// Until when; empty for good.
    pub until: String,
}

/// Section `[detector.alertmanager]`: an Alertmanager, by its API of version 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertmanagerConfig {
    /// Where it is, as in `http://alertmanager:9093`; empty for off.
    pub url: String,
    /// Further labels of each alert.
    pub labels: BTreeMap<String, String>,
    /// Section `[detector.alertmanager.access]`.
    pub access: HttpAccessConfig,
}

/// Section `[detector.webhook]`: whoever takes incidents as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookConfig {
    /// Where to post; empty for off.
    pub url: String,
    /// With what each body is signed; empty for no signature.
    pub secret: Secret,
    /// Section `[detector.webhook.access]`.
    pub access: HttpAccessConfig,
}

impl Default for Config {
    fn default() -> Self {
        let (alarm, incident) = (AlarmRules::default(), IncidentRules::default());
        Self {
            p_value_max: alarm.p_value_max,
            raise_bins: alarm.raise_bins,
            of_bins: alarm.of_bins,
            raise_p_value_max: alarm.raise_p_value_max,
            lone_p_value_max: alarm.lone_p_value_max,
            evidence_min: alarm.evidence_min,
            correlated_bins: alarm.correlated_bins,
            end_bins: alarm.end_bins,
            again_ratio: alarm.again_ratio,
            silent_bins: alarm.silent_bins,
            join_s: incident.join_s,
            fleet_members_min: incident.fleet_members_min,
            fleet_share_min: incident.fleet_share_min,
            repeat_s: incident.repeat_s,
            log: true,
            silences: BTreeMap::new(),
            alertmanager: AlertmanagerConfig::default(),
            webhook: WebhookConfig::default(),
        }
    }
}

impl AlertmanagerConfig {
    pub(crate) fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// Refuses labels for which each alert would be refused, and those that no alert would have.
    fn check_labels(&self) -> Result<()> {
        for (name, value) in &self.labels {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let is_name = !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_plain);
            ensure!(
                is_name && !name.is_empty(),
                "[{ALERTMANAGER}.labels] {name:?}: a label has letters, digits and underscores, no digit first"
            );
            ensure!(
                !OWN_LABELS.contains(&name.as_str()),
                "[{ALERTMANAGER}.labels] {name}: each alert has a label of that name; choose another"
            );
            ensure!(!value.is_empty(), "[{ALERTMANAGER}.labels] {name} is empty, which is as none: leave it out");
        }
        Ok(())
    }
}

impl WebhookConfig {
    pub(crate) fn is_on(&self) -> bool {
        !self.url.is_empty()
    }
}

impl SilenceConfig {
    fn silence(&self, name: &str) -> Result<Silence> {
        let key = format!("[detector.silences.{name}]");
        ensure!(
            !(self.workloads.is_empty() && self.sources.is_empty()),
            "{key} has neither workloads nor sources: give patterns, \"*\" for all"
        );
        let members = selector(&key, &self.workloads, &self.sources)?;
        let (from, until) = (instant(&key, "from", &self.from)?, instant(&key, "until", &self.until)?);
        let is_empty = from.zip(until).is_some_and(|(from, until)| until <= from);
        ensure!(!is_empty, "{key} until = {:?} is not after from = {:?}", self.until, self.from);
        Ok(Silence { members, from, until })
    }
}

fn instant(key: &str, name: &str, text: &str) -> Result<Option<EventTime>> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("{key} {name} = {text:?}: give an instant such as \"2026-03-02T22:00:00Z\"");
    parse_rfc3339(text).map(Some).with_context(wrong)
}

impl Config {
    /// When alarms are raised and end, checked.
    ///
    /// # Errors
    /// With the key that is out of range.
    pub fn alarm_rules(&self) -> Result<AlarmRules> {
        let rules = AlarmRules {
            p_value_max: self.p_value_max,
            raise_bins: self.raise_bins,
            of_bins: self.of_bins,
            raise_p_value_max: self.raise_p_value_max,
            lone_p_value_max: self.lone_p_value_max,
            evidence_min: self.evidence_min,
            correlated_bins: self.correlated_bins,
            end_bins: self.end_bins,
            again_ratio: self.again_ratio,
            silent_bins: self.silent_bins,
        };
        rules.validate().context("[detector]")?;
        Ok(rules)
    }

    /// What is one incident, and of what nobody is to hear, checked; with the groups whose members are related.
    ///
    /// # Errors
    /// With the key that is out of range, or the section that cannot be used.
    pub fn incident_rules(&self, groups: &GroupsConfig) -> Result<IncidentRules> {
        let group = |(name, group): (&String, &prescale_chassis::GroupConfig)| {
            let key = format!("[grouper.groups.{name}]");
            Ok((GroupName::new(name).with_context(|| key.clone())?, group.members(&key)?))
        };
        let rules = IncidentRules {
            join_s: self.join_s,
            fleet_members_min: self.fleet_members_min,
            fleet_share_min: self.fleet_share_min,
            repeat_s: self.repeat_s,
            groups: groups.iter().map(group).collect::<Result<_>>()?,
            silences: self.silences.iter().map(|(name, silence)| silence.silence(name)).collect::<Result<_>>()?,
        };
        rules.validate().context("[detector]")?;
        Ok(rules)
    }

    /// Refuses what no type can: ranges, keys that contradict each other, files that are named.
    ///
    /// # Errors
    /// With the first key that is wrong.
    pub fn check(&self, groups: &GroupsConfig) -> Result<()> {
        self.alarm_rules()?;
        self.incident_rules(groups)?;
        if self.alertmanager.is_on() {
            check_url(ALERTMANAGER, &self.alertmanager.url)?;
            self.alertmanager.access.check(ALERTMANAGER_ACCESS)?;
            self.alertmanager.check_labels()?;
        }
        if self.webhook.is_on() {
            check_url(WEBHOOK, &self.webhook.url)?;
            self.webhook.access.check(WEBHOOK_ACCESS)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_domains() {
        let config = Config::default();
        assert_eq!(config.alarm_rules().unwrap(), AlarmRules::default());
        assert_eq!(config.incident_rules(&GroupsConfig::new()).unwrap(), IncidentRules::default());
        assert_eq!(config.stages().len(), 3);
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = |text: &str| {
            let config: Config = toml::from_str(text).unwrap();
            format!("{:#}", config.check(&GroupsConfig::new()).unwrap_err())
        };
        assert!(message("p_value_max = 2.0").contains("[detector]: p_value_max is 2"));
        assert!(message("evidence_min = -1.0").contains("[detector]: evidence_min is -1"));
        assert!(message("again_ratio = 0.0").contains("[detector]: again_ratio is 0"));
        assert!(message("fleet_share_min = 2.0").contains("[detector]: fleet_share_min is 2"));
        assert!(message("raise_bins = 9").contains("[detector]: raise_bins is 9"));
        assert!(message("repeat_s = 60").contains("[detector]: repeat_s is 60"));
        assert!(message("repeat_s = 172800").contains("give 3600 to 86400"), "an Alertmanager would take it for over");
        assert!(message("silences.night.from = \"2026-01-01\"").contains("[detector.silences.night]"));
        let night = "silences.night.workloads = [\"*\"]\nsilences.night";
        assert!(message(&format!("{night}.from = \"at ten\"")).contains("from = \"at ten\""));
        let backwards =
            format!("{night}.from = \"2026-01-02T00:00:00Z\"\nsilences.night.until = \"2026-01-01T00:00:00Z\"");
        assert!(message(&backwards).contains("is not after from"));
        let label = |label: &str| message(&format!("alertmanager.url = \"http://x\"\nalertmanager.labels.{label}"));
        assert!(label("\"the-team\" = \"x\"").contains("\"the-team\": a label has"));
        assert!(label("severity = \"page\"").contains("severity: each alert has"));
        assert!(label("team = \"\"").contains("team is empty"));
        assert!(message("alertmanager.url = \"here\"").contains("[detector.alertmanager] url"));
        assert!(
            message("webhook.url = \"http://x\"\nwebhook.access.timeout_s = 0").contains("[detector.webhook.access]")
        );
    }
}
