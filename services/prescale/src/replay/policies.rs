//! The policies by name: `NAME`, with knobs as `NAME+KEY=VALUE+...`.
//!
//! A name is a simple rule's, or `planner` for the planner as it is configured, or one of the planner's policies.
//! The planner's knobs are the keys of its section (`planner+lead_time_s=600`, `threshold+threshold.headroom=1.2`).
//! `naive:` before it gives the planner the forecast that the last value makes.

use super::front::Role;
use super::{Request, ShownDemand};
use crate::settings::Settings;
use anyhow::{Context as _, Result, bail, ensure};
use prescale_chassis::GroupsConfig;
use prescale_chassis::config::nearest_name;
use prescale_domain::action::Mechanism;
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use prescale_domain::outcome::SizingRule;
use prescale_domain::outcome::rules::as_bought::AsBought;
use prescale_domain::outcome::rules::holt_winters::{HoltWinters, Smoothing};
use prescale_domain::outcome::rules::last_week::LastWeek;
use prescale_domain::outcome::rules::quantile_ahead::QuantileAhead;
use prescale_domain::outcome::rules::reactive::{self, Reactive};
use prescale_domain::outcome::rules::vertical::Vertical;
use prescale_domain::outcome::rules::window_max::WindowMax;
use prescale_domain::policy::proactive::Budget;
use prescale_domain::policy::{DryRun, Policy as Decider, RuleBook};
use prescale_planner::Config as PlannerConfig;
use prescale_planner::config::{KnobSection, PolicyName};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The contender that others are compared with.
pub(super) const BASELINE: &str = "reactive-1h";

/// The capacity of the trace.
const AS_BOUGHT: &str = "as-bought";

/// The planner as it is configured.
const PLANNER: &str = "planner";

const NAIVE: &str = "naive:";

/// Values of a rule's knobs by name.
pub(super) type Knobs = BTreeMap<&'static str, f64>;

/// A rule for one workload.
pub(super) type Rule = Box<dyn SizingRule + Send>;

/// A simple rule.
#[derive(Debug)]
pub(super) struct Simple {
    name: &'static str,
    /// Its knobs with what they are if nothing is said.
    knobs: &'static [(&'static str, f64)],
    /// The knob that is swept, and the values beside the usual one.
    swept: Option<(&'static str, &'static [f64])>,
    needs_forecasts: bool,
    /// Makes it for one workload; with the time from a sample's instant until a decision serves, in seconds.
    make: fn(&Knobs, u32) -> Rule,
}

const UTILISATIONS: Option<(&str, &[f64])> = Some(("utilisation", &[0.5, 0.6, 0.75, 0.8, 0.9]));

static SIMPLE: [Simple; 8] = [
    Simple { name: AS_BOUGHT, knobs: &[], swept: None, needs_forecasts: false, make: |_, _| Box::new(AsBought) },
    Simple {
        name: "reactive-5m",
        knobs: &[("utilisation", 0.7), ("window_s", 300.0)],
        swept: UTILISATIONS,
        needs_forecasts: false,
        make: |knobs, _| Box::new(Reactive::new(knobs["utilisation"], knobs["window_s"] as u32)),
    },
    Simple {
        name: BASELINE,
        knobs: &[("utilisation", reactive::UTILISATION), ("window_s", reactive::WINDOW_S as f64)],
        swept: UTILISATIONS,
        needs_forecasts: false,
        make: |knobs, _| Box::new(Reactive::new(knobs["utilisation"], knobs["window_s"] as u32)),
    },
    Simple {
        name: "window-max",
        // What did well on Bitbrains in July.
        knobs: &[("utilisation", 0.85), ("window_s", 7200.0), ("saving_min", 0.25)],
        swept: UTILISATIONS,
        needs_forecasts: false,
        make: |knobs, _| Box::new(WindowMax::new(knobs["window_s"] as u32, knobs["utilisation"], knobs["saving_min"])),
    },
    Simple {
        name: "vpa",
        knobs: &[("percentile", 0.9)],
        swept: Some(("percentile", &[0.5, 0.75, 0.95, 0.99])),
        needs_forecasts: false,
        make: |knobs, _| Box::new(Vertical::new(knobs["percentile"])),
    },
    Simple {
        name: "holt-winters",
        knobs: &[("utilisation", 0.7), ("window_s", 300.0), ("alpha", 0.9), ("beta", 0.9), ("gamma", 0.9)],
        swept: UTILISATIONS,
        needs_forecasts: false,
        make: |knobs, _| {
            let smoothing = Smoothing { alpha: knobs["alpha"], beta: knobs["beta"], gamma: knobs["gamma"] };
            Box::new(HoltWinters::new(smoothing, knobs["utilisation"], knobs["window_s"] as u32))
        },
    },
    Simple {
        name: "last-week-max",
        knobs: &[("utilisation", 0.7), ("window_s", 300.0)],
        swept: UTILISATIONS,
        needs_forecasts: false,
        make: |knobs, _| Box::new(LastWeek::new(knobs["utilisation"], knobs["window_s"] as u32)),
    },
    Simple {
        name: "kedastral",
        knobs: &[("quantile", 0.9), ("headroom", 1.2)],
        swept: Some(("headroom", &[1.0, 1.1, 1.4, 1.7])),
        needs_forecasts: true,
        make: |knobs, ahead_s| Box::new(QuantileAhead::new(ahead_s, knobs["quantile"], knobs["headroom"])),
    },
];

/// The knobs of the planner that are swept: shares of the time short to keep, and how many changes it may make of each
/// workload within a day.
const PLANNER_SWEPT: [(&str, &str, &[f64]); 2] = [
    ("short-share", "short_share", &[0.001, 0.005, 0.02]),
    ("beat-reactive", "changes_per_day_max", &[2.0, 4.0, 12.0]),
];

/// What else of the planner is swept: as few changes as the VPA makes, and as little to spare as the reactive rule with a
/// short window leaves. Chosen on July of the Bitbrains trace.
const PLANNER_POINTS: [&str; 2] = [
    "guardrails.step_share_max_in=1.0+guardrails.step_share_max_out=100.0+guardrails.surge_s=14400\
     +guardrails.cooldown_in_s=86400+guardrails.cooldown_out_s=86400\
     +proactive.aim=prices+proactive.short_price=0.02+proactive.unmet_price=0.2+proactive.change_price=10.0",
    "guardrails.floor_utilisation=1.0+guardrails.step_share_max_in=1.0+guardrails.cooldown_in_s=0\
     +proactive.aim=prices+proactive.short_price=0.1+proactive.unmet_price=0.05+proactive.change_price=0.2",
];

/// Perfect foresight by name, with the most changes a day.
const FORESIGHT: [(&str, Option<usize>); 2] = [("foresight", None), ("foresight-8-changes", Some(8))];

/// A policy that takes part.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// As it was asked for.
    pub label: String,
    /// Its name without knobs; those of one name make a line in the plots.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What a policy is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A simple rule with its knobs.
    Simple(&'static Simple, Knobs),
    /// The least capacity, with the most changes a day.
    Foresight(Option<usize>),
    /// The planner.
    Planner(Box<Planning>),
}

/// The planner's part of a policy.
#[derive(Clone, Debug)]
pub(super) struct Planning {
    /// Its section.
    pub config: PlannerConfig,
    /// The groups that its sections for some workloads may name.
    pub groups: GroupsConfig,
    /// The rules that they make, with the lead time of the section.
    pub book: RuleBook,
    /// Whether it gets the naive forecast.
    pub is_naive: bool,
    /// Whether it sizes memory beside CPU, since instance types are chosen for both.
    pub sizes_memory: bool,
}

impl Simple {
    /// The rule for one workload.
    pub(super) fn rule(&self, knobs: &Knobs, ahead_s: u32) -> Rule {
        (self.make)(knobs, ahead_s)
    }

    /// From when it says something until that serves, in seconds: the capacity of the trace serves when the trace
    /// says so.
    pub(super) fn lead_s(&self, lead_s: u32) -> u32 {
        if self.name == AS_BOUGHT { 0 } else { lead_s }
    }
}

impl Planning {
    /// The rules of the policy of that label with a lead time, where a row is known so long after its instant, in
    /// seconds.
    ///
    /// # Errors
    /// With the arguments that make no sense.
    pub(super) fn rules_with(&self, label: &str, lead_s: u32, known_after_s: u32) -> Result<RuleBook> {
        let step = if known_after_s > 0 { " with the step, at whose end a row is known" } else { "" };
        let given = || format!("--lead-time {lead_s}s{step}, --policies {label:?}");
        self.rules(lead_s.saturating_add(known_after_s)).with_context(given)
    }

    /// The rules where what is decided serves so long after a sample's instant, in seconds.
    ///
    /// # Errors
    /// When the section makes no sense.
    pub(super) fn rules(&self, ahead_s: u32) -> Result<RuleBook> {
        rule_book(&self.config, &self.groups, ahead_s)
    }

    /// The first policy of which that holds, with where, as words behind its name: nothing more where it is the general
    /// one, or the section for some workloads that has it.
    fn first(&self, holds: impl Fn(&dyn Decider) -> bool) -> Option<String> {
        let (section, rules) = self.book.alone().find(|(_, rules)| holds(&*rules.policy))?;
        let place = section.map_or_else(String::new, |section| format!(" of [planner.for.{section}]"));
        Some(format!("{}{place}", rules.policy.name()))
    }
}

impl Policy {
    /// Whether it needs the predictor, or the naive forecast.
    pub(super) fn needs_forecasts(&self, naive: bool) -> bool {
        match &self.kind {
            Kind::Simple(simple, _) => simple.needs_forecasts && !naive,
            Kind::Planner(planning) => planning.is_naive == naive,
            Kind::Foresight(_) => false,
        }
    }

    /// Whether it sizes memory beside CPU.
    pub(super) fn sizes_memory(&self) -> bool {
        matches!(&self.kind, Kind::Planner(planning) if planning.sizes_memory)
    }

    /// Why it, or a part of it, does nothing without forecasts; `None` where all of it does something.
    fn idle_without_forecasts(&self) -> Option<String> {
        match &self.kind {
            Kind::Simple(simple, _) => simple.needs_forecasts.then(|| "it sizes by a quantile of them".to_owned()),
            Kind::Planner(planning) if planning.is_naive => Some(format!("{NAIVE} names those that it gets")),
            Kind::Planner(planning) => {
                let policy = planning.first(|policy| policy.needs_forecasts())?;
                Some(format!("the policy {policy} decides by nothing else"))
            }
            Kind::Foresight(_) => None,
        }
    }

    /// The budget that each workload is to keep, if that is what all are sized by.
    pub(super) fn stated_budget(&self) -> Option<Budget> {
        let Kind::Planner(planning) = &self.kind else { return None };
        let is_other = |key: &str| planning.config.sections.values().any(|section| section.overrides.contains_key(key));
        if ["policy", "proactive"].into_iter().any(is_other) {
            return None;
        }
        planning.book.general().policy.plan()?.budget()
    }

    /// What it is in the comparison.
    pub(super) fn role(&self) -> Role {
        match &self.kind {
            Kind::Simple(simple, _) if simple.name != AS_BOUGHT => Role::Rule,
            Kind::Simple(..) | Kind::Foresight(_) => Role::Bound,
            Kind::Planner(_) => Role::Planner,
        }
    }
}

/// The policies that were asked for, the baseline first.
///
/// # Errors
/// With the name or the knob that nobody knows.
pub(super) fn chosen(settings: &Settings, request: &Request) -> Result<Vec<Policy>> {
    let mut labels = vec![BASELINE.to_owned()];
    if request.policies.is_empty() {
        let simple = SIMPLE.iter().filter(|simple| request.forecasts || !simple.needs_forecasts);
        labels.extend(simple.map(|simple| simple.name.to_owned()));
        labels.extend(FORESIGHT.map(|(name, _)| name.to_owned()));
        labels.push(PLANNER.to_owned());
        labels.extend(request.forecasts.then(|| format!("{NAIVE}{PLANNER}")));
    }
    labels.extend(request.policies.iter().cloned());
    let mut policies: Vec<Policy> = Vec::new();
    for label in &labels {
        if policies.iter().any(|policy| policy.label == *label) {
            continue;
        }
        let policy = parsed(label, settings, request)?;
        let idle = if request.forecasts { None } else { policy.idle_without_forecasts() };
        if let Some(why) = idle {
            bail!(
                "--policies {label:?} needs forecasts, since {why}: leave --no-forecasts out, or name --policies without it"
            );
        }
        let swept = if request.sweep { swept(&policy, settings, request)? } else { Vec::new() };
        policies.push(policy);
        for other in swept {
            if policies.iter().all(|policy| policy.label != other.label) {
                policies.push(other);
            }
        }
    }
    Ok(policies)
}

/// The policy with the other values of its knobs.
fn swept(policy: &Policy, settings: &Settings, request: &Request) -> Result<Vec<Policy>> {
    if policy.label != policy.name {
        return Ok(Vec::new());
    }
    let others = swept_labels(policy).into_iter().map(|label| parsed(&label, settings, request));
    let mut others = others.collect::<Result<Vec<_>>>()?;
    others.retain(|other| match (&other.kind, &policy.kind) {
        (Kind::Planner(other), Kind::Planner(own)) => other.config != own.config,
        _ => true,
    });
    Ok(others)
}

fn swept_labels(policy: &Policy) -> Vec<String> {
    let name = &policy.name;
    match &policy.kind {
        Kind::Simple(simple, _) => {
            let (knob, values) = simple.swept.unwrap_or_default();
            values.iter().map(|value| format!("{name}+{knob}={value}")).collect()
        }
        Kind::Planner(planning) if name == PLANNER && planning.config.policy == PolicyName::Proactive => {
            let labels = |(aim, knob, values): (&str, &str, &[f64])| -> Vec<String> {
                let label = |value| format!("{name}+proactive.aim={aim}+proactive.{knob}={value}");
                values.iter().map(label).collect()
            };
            let points = PLANNER_POINTS.into_iter().map(|point| format!("{name}+{point}"));
            PLANNER_SWEPT.into_iter().flat_map(labels).chain(points).collect()
        }
        Kind::Planner(_) | Kind::Foresight(_) => Vec::new(),
    }
}

fn parsed(label: &str, settings: &Settings, request: &Request) -> Result<Policy> {
    of_label(label, settings, request).with_context(|| format!("--policies {label:?}"))
}

fn of_label(label: &str, settings: &Settings, request: &Request) -> Result<Policy> {
    let mut parts = label.split('+');
    let name = parts.next().unwrap_or_default().to_owned();
    let knob = |part: &str| {
        let (key, value) = part.split_once('=').with_context(|| format!("{part:?} is no KEY=VALUE"))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    let knobs = parts.map(knob).collect::<Result<Vec<_>>>()?;
    let kind = if let Some(simple) = SIMPLE.iter().find(|simple| simple.name == name) {
        Kind::Simple(simple, simple_knobs(simple, &knobs)?)
    } else if let Some((_, changes_max)) = FORESIGHT.iter().find(|(known, _)| *known == name) {
        ensure!(knobs.is_empty(), "it has no knobs");
        Kind::Foresight(*changes_max)
    } else {
        Kind::Planner(Box::new(planning(&name, &knobs, settings, request)?))
    };
    Ok(Policy { label: label.to_owned(), name, kind })
}

fn simple_knobs(simple: &Simple, given: &[(String, String)]) -> Result<Knobs> {
    let mut knobs: Knobs = simple.knobs.iter().copied().collect();
    for (key, value) in given {
        let Some((known, _)) = simple.knobs.iter().find(|(known, _)| known == key) else {
            let known: Vec<&str> = simple.knobs.iter().map(|(known, _)| *known).collect();
            bail!("it has no knob {key:?}, only {}", known.join(", "));
        };
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let number = number.with_context(|| format!("{key} = {value:?} is no number of at least 0"))?;
        ensure!(number > 0.0 || *known != "utilisation", "utilisation = 0: give a share above 0");
        knobs.insert(known, number);
    }
    Ok(knobs)
}

/// The rules of a section, where what is decided serves so long after a sample's instant, in seconds.
fn rule_book(config: &PlannerConfig, groups: &GroupsConfig, ahead_s: u32) -> Result<RuleBook> {
    let mut config = config.clone();
    config.general.forecast.lead_time_s = ahead_s;
    config.general.learns_lead_time = false;
    // What is configured is for another lead time: an action stays valid until it can serve.
    let valid_for_s = &mut config.guardrails.pace.valid_for_s;
    *valid_for_s = (*valid_for_s).max(ahead_s);
    for section in config.sections.values_mut() {
        let valid_for_s = section.overrides.get_mut("guardrails").and_then(|table| table.get_mut("valid_for_s"));
        if let Some(Value::Integer(valid_for_s)) = valid_for_s {
            *valid_for_s = (*valid_for_s).max(ahead_s.into());
        }
    }
    config.rules(groups)
}

/// The planner by limits, with nothing called that is not carried out; over CPU alone, unless instance types are chosen.
fn planning(name: &str, knobs: &[(String, String)], settings: &Settings, request: &Request) -> Result<Planning> {
    let (is_naive, policy) = name.strip_prefix(NAIVE).map_or((false, name), |policy| (true, policy));
    if policy != PLANNER && PolicyName::ALL.iter().all(|known| known.name() != policy) {
        bail!("{}", unknown(name));
    }
    let mut table = Table::try_from(&settings.planner).context("the planner's section cannot be written")?;
    if policy != PLANNER {
        table.insert("policy".to_owned(), Value::String(policy.to_owned()));
    }
    for (key, value) in knobs {
        set(&mut table, key, value)?;
    }
    let config: PlannerConfig = table.try_into().context("[planner] cannot be read with these knobs")?;
    let mut config = PlannerConfig {
        resources: vec![CPU_CORES_USED.to_owned()],
        dry_run: KnobSection(DryRun { simulated: false, elsewhere: false }),
        ..config
    };
    config.general.sizing.mechanism = Some(Mechanism::Limits);
    config.general.sizing.cpu_cores_grain = request.grain_cores;
    if request.shown == ShownDemand::Measured {
        config.guardrails.capped_from = 0.0;
    }
    for section in config.sections.values_mut() {
        // The replay says these for all workloads.
        for key in ["lead_time_s", "resources", "mechanism", "cpu_cores_grain", "dry_run"] {
            section.overrides.remove(key);
        }
        if request.shown == ShownDemand::Measured
            && let Some(guardrails) = section.overrides.get_mut("guardrails").and_then(Value::as_table_mut)
        {
            guardrails.remove("capped_from");
        }
    }
    let groups = settings.grouper.groups.clone();
    let book = rule_book(&config, &groups, config.general.forecast.lead_time_s)?;
    let mut planning = Planning { book, config, groups, is_naive, sizes_memory: false };
    if planning.first(|policy| policy.chooser().is_some()).is_some() {
        planning.sizes_memory = true;
        planning.config.resources.push(MEMORY_BYTES.to_owned());
        planning.book = planning.rules(planning.config.general.forecast.lead_time_s)?;
    }
    Ok(planning)
}

/// What is to be said of a name that no policy has.
fn unknown(name: &str) -> String {
    let of_planner = || std::iter::once(PLANNER).chain(PolicyName::ALL.iter().map(|policy| policy.name()));
    let simple = SIMPLE.iter().map(|simple| simple.name).chain(FORESIGHT.map(|(name, _)| name));
    let mut known: Vec<String> = simple.chain(of_planner()).map(str::to_owned).collect();
    known.extend(of_planner().map(|policy| format!("{NAIVE}{policy}")));
    let all = known.join(", ");
    match nearest_name(name, known.iter().map(String::as_str)) {
        Some(meant) => format!("there is no such policy, did you mean {meant:?}? Known are: {all}"),
        None => format!("there is no such policy, known are: {all}"),
    }
}

/// Sets a key of the section, such as `threshold.headroom`, which is there already.
fn set(table: &mut Table, key: &str, value: &str) -> Result<()> {
    let no_key = || format!("[planner] has no key {key:?}");
    let (sections, last) = key.rsplit_once('.').map_or((None, key), |(sections, last)| (Some(sections), last));
    let mut table = table;
    for section in sections.into_iter().flat_map(|sections| sections.split('.')) {
        table = table.get_mut(section).and_then(Value::as_table_mut).with_context(no_key)?;
    }
    let place = table.get_mut(last).with_context(no_key)?;
    let parsed: Option<Table> = format!("value = {value}").parse().ok();
    *place = parsed.and_then(|mut t| t.remove("value")).unwrap_or_else(|| Value::String(value.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests;
