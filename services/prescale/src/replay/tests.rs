//! Replays of small traces, from the file to the report.

use super::contender::{Contender, Way};
use super::follower::Mind;
use super::front::Role;
use super::planner::Planner;
use super::report::{Line, Stated};
use super::*;
use crate::lanes::Lane as _;
use prescale_chassis::{Input, Outgoing, Reply, TypedStage as _, TypedStageFactory as _};
use prescale_collector::Mapping;
use prescale_collector::replay::read::read_samples;
use prescale_contracts::{Contract, Envelope};
use prescale_domain::action::Action;
use prescale_domain::evaluation::{Evaluation, Sums, Terms, Worth};
use prescale_domain::governor::{FleetRecord, Said};
use prescale_domain::outcome::Tally;
use prescale_domain::policy::RuleBook;
use prescale_domain::prediction::Prediction;
use prescale_domain::sample::Platform;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

const DAY_BINS: i64 = 288;
const BEGIN_S: i64 = 1_700_006_400;

/// Rows of two workloads with 4 cores: `steady` needs .7 cores, and 1.4 from the middle of the third day on; what
/// `daily` needs follows the time of day.
fn trace(folder: &Path) -> PathBuf {
    let mut text = String::from("vm,ts,used,cores,mem,used_mem\n");
    for bin in 0..3 * DAY_BINS {
        let ts = BEGIN_S + 300 * bin;
        let steady = if bin < 5 * DAY_BINS / 2 { 0.7 } else { 1.4 };
        let daily = 1.0 + (bin as f64 / 288.0 * std::f64::consts::TAU).sin() * 0.6 + f64::from(bin % 7 == 0) * 0.8;
        let _ = writeln!(text, "steady,{ts},{steady},4,8e9,1e9\ndaily,{ts},{daily},4,8e9,{}", 3e9 + 1e8 * daily);
    }
    let file = folder.join("trace.csv");
    fs::write(&file, text).unwrap();
    file
}

pub(super) fn request(file: &Path) -> Request {
    Request {
        trace: ReplayConfig {
            file: file.to_owned(),
            mapping: Mapping::parse("entity=vm,time=ts,cpu=used,cpu_capacity=cores,memory_capacity=mem").unwrap(),
            ..ReplayConfig::default()
        },
        scored_from: None,
        warm_up_s: 2 * 86_400,
        lead_times_s: vec![300, 900],
        policies: Vec::new(),
        sweep: false,
        workloads: None,
        forecasts: false,
        governor: true,
        stamped: Stamped::Start,
        shown: ShownDemand::Measured,
        grain_cores: 0.01,
        block_days: 1,
        report: None,
    }
}

/// The same, with the trace's use of memory.
fn with_memory(request: Request) -> Request {
    let mapping = "entity=vm,time=ts,cpu=used,memory=used_mem,cpu_capacity=cores,memory_capacity=mem";
    let mapping = Mapping::parse(mapping).unwrap();
    Request { trace: ReplayConfig { mapping, ..request.trace }, ..request }
}

fn line<'a>(report: &'a Report, policy: &str, lead_time_s: u32) -> &'a Line {
    let is_it = |line: &&Line| line.policy == policy && line.lead_time_s == lead_time_s;
    report.lines.iter().find(is_it).unwrap()
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} instead of {b}");
}

#[test]
fn a_rise_is_unmet_until_its_step_is_known_and_the_lead_time_has_passed() {
    let folder = tempfile::tempdir().unwrap();
    for stamped in [Stamped::Start, Stamped::End] {
        let workloads = Some(Pattern::new("st*").unwrap());
        let report = replay(&Settings::default(), &Request { workloads, stamped, ..request(&trace(folder.path())) });
        let report = report.unwrap();
        assert_eq!(report.workloads, 1);
        // The step of the rise and those of the lead time have 1 core instead of 1.4.
        for (lead_time_s, bins) in [(300, 2.0), (900, 4.0)] {
            let reactive = line(&report, "reactive-1h", lead_time_s);
            near(reactive.unmet_core_h, 0.4 * bins / 12.0);
            let counted = if stamped == Stamped::Start { 288.0 } else { 287.0 };
            near(reactive.time_short, bins / counted);
            near(reactive.changes_per_workload_day * counted / 288.0, 1.0);
            assert_eq!((reactive.surges, reactive.surges_covered), (1, Some(0.0)));
            let bought = line(&report, "as-bought", lead_time_s);
            assert_eq!((bought.unmet, bought.changes_per_workload_day), (0.0, 0.0));
            assert_eq!((bought.relative.unmet.fleet, bought.surges_covered), (Some(0.0), Some(1.0)));
            let bound = line(&report, "foresight-8-changes", lead_time_s);
            assert_eq!((bound.unmet, bound.over), (0.0, 0.0));
        }
    }
}

#[test]
fn the_report_holds_every_policy_and_says_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let request = Request { sweep: true, report: Some(out.clone()), ..request(&trace(folder.path())) };
    let report = replay(&Settings::default(), &request).unwrap();
    assert_eq!(report.workloads, 2);
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(json["lines"].as_array().unwrap().len(), report.lines.len());
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("last-week-max") && !page.contains("<script"), "{page}");
    let table = report.table();
    assert!(table.contains("reactive-1h+utilisation=0.9"));
    let numbers: Vec<&str> = table.lines().filter(|line| line.ends_with("0/0 %")).collect();
    assert!(!numbers.is_empty() && numbers.iter().all(|line| line.len() < 200), "{table}");
    for lead in ["5m", "15m"] {
        let picture = fs::read_to_string(out.join(format!("tradeoff-{lead}.svg"))).unwrap();
        assert!(page.contains(&picture) && picture.starts_with("<svg") && picture.contains("xmlns="), "{picture}");
        let ground =
            "<rect x=\"0\" y=\"0\" width=\"590\" height=\"420\" opacity=\"1\" fill=\"#FFFFFF\" stroke=\"none\"/>";
        assert!(picture.contains(ground), "{picture}");
        assert!(out.join(format!("tradeoff-unmet-{lead}.svg")).exists());
    }
    let stated = "planner+proactive.aim=short-share+proactive.short_share=0.02";
    let kept = line(&report, stated, 300);
    let budget = kept.budget.as_ref().unwrap();
    near(budget.fleet * 0.02, kept.time_short);
    assert!(table.contains(&format!("{stated} was short for")) && page.contains("came by stated"), "{table}");
    assert!(line(&report, "planner", 300).budget.is_none());
    let bounds = report.lines.iter().filter(|line| line.role == Role::Bound);
    assert!(bounds.clone().count() == 6 && bounds.clone().all(|line| !line.on_front && line.beaten_by.is_empty()));
    assert!(report.lines.iter().any(|line| line.on_front) && page.contains("●"));
    let own = line(&report, "reactive-1h", 300);
    assert_eq!((own.relative.over.fleet, own.relative.winners_share), (Some(1.0), 0.0));
    let more = line(&report, "reactive-1h+utilisation=0.5", 300);
    assert!(more.relative.over.fleet.unwrap() > 1.0 && more.unmet <= own.unmet);
    let (bound, free) = (line(&report, "foresight-8-changes", 900), line(&report, "foresight", 900));
    assert!(bound.unmet == 0.0 && free.over == 0.0 && bound.over > 0.0 && bound.over < own.over);
    assert!(bound.changes_per_workload_day <= 8.0);
    let again = replay(&Settings::default(), &request).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&report).unwrap());
}

/// What rules do to a workload does not hang on the others: the mean is that of replays of each alone.
#[test]
fn beside_the_fleets_ratios_stand_those_of_each_workload() {
    let folder = tempfile::tempdir().unwrap();
    let file = trace(folder.path());
    let policies = ["window-max", "vpa", "planner"].map(str::to_owned).to_vec();
    let replayed = |workloads: Option<&str>| {
        let workloads = workloads.map(|pattern| Pattern::new(pattern).unwrap());
        replay(&Settings::default(), &Request { policies: policies.clone(), workloads, ..request(&file) }).unwrap()
    };
    let (all, alone) = (replayed(None), ["steady", "daily"].map(|name| replayed(Some(name))));
    for (policy, lead_s) in [("window-max", 300), ("vpa", 900)] {
        let together = &line(&all, policy, lead_s).relative;
        let each = alone.each_ref().map(|report| line(report, policy, lead_s).relative.over.fleet.unwrap());
        near(together.over.workloads_mean.unwrap(), (each[0] + each[1]) / 2.0);
        near(together.over.workloads_less, each.iter().filter(|ratio| **ratio < 1.0).count() as f64 / 2.0);
        let more = together.winners.iter().chain(&together.losers).count();
        assert_eq!(more, 2, "each of them wins or loses: {together:?}");
    }
    let json = serde_json::to_value(&all).unwrap();
    let of_planner = json["lines"].as_array().unwrap().iter().find(|line| line["policy"] == "planner").unwrap();
    for measure in ["time_short", "unmet", "over"] {
        let ratio = &of_planner["relative"][measure];
        for key in ["fleet", "fleet_95", "workloads_mean", "workloads_median", "workloads_less", "workloads_more"] {
            assert!(ratio.get(key).is_some(), "{measure} {key}");
        }
    }
    let table = all.table();
    let said: Vec<&str> = table.lines().filter(|line| line.starts_with("planner has less and more")).collect();
    assert_eq!(said.len(), 2, "once a lead time: {table}");
    let ratio = &line(&all, "planner", 300).relative.over;
    let wanted = format!("over {:.0} and {:.0} %", 100.0 * ratio.workloads_less, 100.0 * ratio.workloads_more);
    assert!(said[0].contains(&wanted) && said[0].contains("than reactive-1h"), "{}", said[0]);
    assert!(said[0].contains("steady") || said[0].contains("daily"), "{}", said[0]);
}

#[test]
fn instance_types_are_chosen_for_cpu_and_memory_and_cost_their_price() {
    let folder = tempfile::tempdir().unwrap();
    let policies = ["planner", "cost", "as-bought", "foresight"].map(str::to_owned).to_vec();
    let request = Request { policies, report: Some(folder.path().join("report")), ..request(&trace(folder.path())) };
    let report = replay(&Settings::default(), &with_memory(request.clone())).unwrap();
    let [cost, bought] = ["cost", "as-bought"].map(|policy| line(&report, policy, 300));
    // A day of two workloads with 4 cores for .03 each and 8e9 bytes for .005 a GiB.
    near(bought.cost.unwrap(), 2.0 * 24.0 * (4.0 * 0.03 + 8e9 / 1_073_741_824.0 * 0.005));
    assert!(cost.changes_per_workload_day > 0.0 && cost.unmet < 0.1, "{cost:?}");
    assert!(cost.cost.unwrap() < bought.cost.unwrap(), "{:?} of {:?}", cost.cost, bought.cost);
    assert!(line(&report, "foresight", 300).cost.unwrap() > 0.0);
    assert!(report.table().contains("Cost is that of whole capacities"));
    // The planner over CPU alone decides as it does without any memory in the trace.
    let alone = Request { policies: vec!["planner".to_owned()], ..request };
    let alone = replay(&Settings::default(), &alone).unwrap();
    let [own, beside] = [&alone, &report].map(|report| line(report, "planner", 300));
    assert_eq!(
        (own.time_short, own.unmet_core_h, own.over_core_h),
        (beside.time_short, beside.unmet_core_h, beside.over_core_h)
    );
    assert_eq!(own.changes_per_workload_day, beside.changes_per_workload_day);
    assert!(!alone.table().contains("Cost is that of whole capacities"));
}

#[test]
fn a_stated_share_of_unmet_demand_is_told_of_as_one_of_the_time_is() {
    let folder = tempfile::tempdir().unwrap();
    let stated = "planner+proactive.aim=unmet-share+proactive.unmet_share=0.01";
    let request = Request { policies: vec![stated.to_owned()], ..request(&trace(folder.path())) };
    let report = replay(&Settings::default(), &request).unwrap();
    let kept = line(&report, stated, 300);
    let budget = kept.budget.as_ref().unwrap();
    assert_eq!(budget.of, Stated::Unmet);
    near(budget.fleet * 0.01, kept.unmet);
    let table = report.table();
    assert!(table.contains(&format!("{stated} left ")) && table.contains("times the 1 % that it states"), "{table}");
    assert_eq!(serde_json::to_value(budget).unwrap()["of"], "unmet");
}

/// The contenders after a replay.
fn ran(settings: &Settings, request: &Request) -> Vec<Contender> {
    let plan = Plan::of(settings, request).unwrap();
    let mut course = plan.course(request);
    let extent = TraceExtent { rows: 0, step_s: 300, from: EventTime::from_s(BEGIN_S), has_jitter: false };
    let mut contenders = plan.contenders(request, &extent).unwrap();
    let take = |samples| {
        let steps = Arc::new(course.steps(samples).unwrap());
        contenders.iter_mut().for_each(|contender| contender.take(Arc::clone(&steps)).unwrap());
        ControlFlow::Continue(())
    };
    read_samples(&request.trace, |_| (), take).unwrap();
    contenders
}

/// The planner of the second contender.
fn planner(mut contenders: Vec<Contender>) -> Box<Planner> {
    let Way::Follower(follower) = contenders.remove(1).way else { panic!("the planner has a capacity that follows") };
    let Mind::Planner { planner, .. } = follower.mind else { panic!("it is the planner") };
    planner
}

/// What a stage's reply says on a topic of one contract.
fn said<C: Contract>(reply: &Reply) -> Vec<C> {
    let Reply::Emit(outgoing) = reply else { return Vec::new() };
    let of_topic = outgoing.iter().flat_map(Outgoing::records).filter(|record| &*record.topic == C::TOPIC);
    of_topic.map(|record| C::decode(record.value.as_deref().unwrap()).unwrap()).collect()
}

/// The planner's and the governor's stages, as `up` runs them, hear what the replay's planner heard.
#[test]
fn the_stages_decide_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.bus.partitions = 2;
    let policies = vec!["planner".to_owned()];
    let request = Request { policies, forecasts: true, lead_times_s: vec![600], ..request(&trace(folder.path())) };
    let replayed = planner(ran(&settings, &request));
    // A row is known 300 s after its instant, and the capacity serves 600 s later.
    let rules = {
        let plan = Plan::of(&settings, &request).unwrap();
        let Kind::Planner(planning) = &plan.contenders[1].0.kind else { panic!("the planner") };
        planning.rules(900).unwrap()
    };
    let terms = Arc::new(Terms { rules, pricing: None });
    let planners = prescale_planner::stage::Factory::new(terms, Arc::default());
    let mut planners = [planners.create(0), planners.create(1)];
    let governor = prescale_governor::stage::Factory::new(Arc::new(settings.governor.rules().unwrap()), 2);
    let mut governor = governor.create(0);
    let (mut admitted, mut proposals) = (Vec::new(), 0);
    for (partition, prediction, wanted) in replayed.heard {
        let envelope = Envelope::root("test", Prediction::EVENT_TYPE, &prediction.workload, prediction.made_at, "0");
        let input = Input { envelope: Envelope { id: "replay".into(), ..envelope }, value: prediction };
        let reply = planners[partition as usize].apply(vec![input]).unwrap().remove(0);
        let proposed: Vec<FleetRecord> = said(&reply);
        assert_eq!(proposed, wanted.unwrap());
        for value in proposed {
            proposals += usize::from(matches!(value.said, Said::Proposal(_)));
            let envelope = Envelope::root("test", FleetRecord::EVENT_TYPE, &value.key, value.at(), "0");
            admitted.extend(said::<Action>(&governor.apply(vec![Input { envelope, value }]).unwrap().remove(0)));
        }
    }
    assert_eq!(admitted, replayed.admitted);
    assert!(admitted.len() > 2 && proposals > admitted.len(), "{} of {proposals} proposals", admitted.len());
}

/// What the account comes to by the same rules, summed up over the whole trace.
fn evaluated(rules: RuleBook, predictions: &[Prediction]) -> Sums {
    let (terms, id) = (Terms { rules, pricing: None }, Arc::from("replay"));
    let mut evaluation = Evaluation::default();
    let mut outcomes = Vec::new();
    for prediction in predictions {
        outcomes.extend(evaluation.step(&terms, prediction, &id).unwrap().outcomes);
    }
    // One more of each workload, without a demand, ends the last hour.
    let last: BTreeMap<&str, &Prediction> = predictions.iter().map(|p| (p.workload.as_str(), p)).collect();
    for last in last.into_values() {
        let mut end = Prediction { made_at: last.made_at.plus_s(3600), ..last.clone() };
        end.resources.iter_mut().for_each(|resource| resource.last = None);
        outcomes.extend(evaluation.step(&terms, &end, &id).unwrap().outcomes);
    }
    let mut sums = outcomes[0].sums.clone();
    outcomes[1..].iter().for_each(|outcome| sums.add(&outcome.sums));
    sums
}

fn agree(what: &str, worth: &Worth, tallies: &[Tally]) {
    let mut tally = Tally::default();
    tallies.iter().for_each(|of_workload| tally.add(of_workload));
    near(worth.short_s / 3600.0, tally.hours_short);
    near(worth.unmet_core_s / 3600.0, tally.unmet);
    near(worth.over_core_s / 3600.0, tally.over);
    near(worth.capacity_core_s / 3600.0, tally.capacity);
    assert_eq!(worth.changes, tally.changes, "{what}: {worth:?} {tally:?}");
}

#[test]
fn the_planners_account_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let policies = ["planner", "as-bought"].map(str::to_owned).to_vec();
    let request = Request {
        policies,
        stamped: Stamped::End,
        warm_up_s: 0,
        scored_from: Some(EventTime::from_s(0)),
        lead_times_s: vec![600],
        forecasts: true,
        // The account does not know what a governor lets wait.
        governor: false,
        ..request(&trace(folder.path()))
    };
    let mut settings = Settings::default();
    // One planner, as the account has one.
    settings.bus.partitions = 1;
    let plan = Plan::of(&settings, &request).unwrap();
    let [(_, lead_s), ..] = plan.contenders[..] else { panic!("there are contenders") };
    let Kind::Planner(planning) = &plan.contenders[1].0.kind else { panic!("the planner") };
    let rules = planning.rules(lead_s).unwrap();
    let (mut tallies, mut heard) = (Vec::new(), Vec::new());
    for contender in ran(&settings, &request) {
        let Way::Follower(follower) = contender.way else { panic!("none of them foresees") };
        tallies.push(follower.outcome.tallies);
        if let Mind::Planner { planner, .. } = follower.mind {
            heard = planner.heard;
        }
    }
    let [reactive, planned, bought] = tallies.as_slice() else { panic!("three contenders") };

    // The capacity in the chain follows the plan.
    let predictions: Vec<Prediction> = heard.into_iter().map(|(_, prediction, _)| prediction).collect();
    let applied = evaluated(rules.clone(), &predictions);
    assert!(applied.plan.changes > 4, "{applied:?}");
    agree("the plan", &applied.plan, planned);
    agree("reactive", &applied.reactive, reactive);
    near(applied.capacity.capacity_core_s, applied.plan.capacity_core_s);

    // It stays as it was bought, and the plan is a dry run.
    let observed: Vec<Prediction> = predictions
        .into_iter()
        .map(|mut prediction| {
            prediction.platform = Platform::OBSERVED_ONLY;
            prediction.capacity.as_mut().unwrap().cpu_cores_per_replica = 4.0;
            prediction
        })
        .collect();
    let dry = evaluated(rules, &observed);
    agree("as bought", &dry.capacity, bought);
    agree("reactive, beside a dry run", &dry.reactive, reactive);
    assert!(dry.plan.changes > 4 && dry.plan.over_core_s < dry.capacity.over_core_s, "{dry:?}");
}

#[test]
fn a_lead_time_that_is_too_long_with_the_step_is_refused_before_the_trace_is_looked_at() {
    let checked = |stamped, step_s, lead_s| {
        let mut request = Request { lead_times_s: vec![lead_s], stamped, ..request(Path::new("no-such-trace.csv")) };
        request.trace.step_s = step_s;
        check(&Settings::default(), &request).map_err(|error| format!("{error:#}"))
    };
    assert_eq!(checked(Stamped::End, 0, 7200), Ok(()));
    assert_eq!(checked(Stamped::Start, 300, 6900), Ok(()));
    for (step_s, lead_s) in [(0, 7200), (300, 6901)] {
        let refused = checked(Stamped::Start, step_s, lead_s).unwrap_err();
        assert!(refused.starts_with(&format!("--lead-time {lead_s}s with the step, ")), "{refused}");
        assert!(refused.contains("give at most 7200"), "{refused}");
    }
}

#[test]
fn what_cannot_be_compared_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = trace(folder.path());
    let failure = |change: fn(&mut Request)| {
        let mut request = request(&file);
        change(&mut request);
        format!("{:#}", replay(&Settings::default(), &request).unwrap_err())
    };
    let short = failure(|r| r.warm_up_s = 5 * 86_400);
    assert!(short.contains("nothing was scored") && short.contains("432000 s"), "{short}");
    let nobody = failure(|r| r.workloads = Some(Pattern::new("web-*").unwrap()));
    assert!(nobody.contains("nothing was scored"), "{nobody}");
    let policy = failure(|r| r.policies = vec!["oracle".to_owned()]);
    assert!(
        policy.contains("\"oracle\"") && policy.contains("reactive-1h") && policy.contains("threshold"),
        "{policy}"
    );
    let knob = failure(|r| r.policies = vec!["vpa+quantile=0.9".to_owned()]);
    assert!(knob.contains("no knob \"quantile\", only percentile"), "{knob}");
    let key = failure(|r| r.policies = vec!["planner+threshold.hedroom=0.9".to_owned()]);
    assert!(key.contains("no key \"threshold.hedroom\""), "{key}");
    let lead = failure(|r| (r.policies, r.lead_times_s) = (vec!["planner".to_owned()], vec![10_800]));
    assert!(lead.contains("--lead-time 10800s") && lead.contains("give at most 7200"), "{lead}");
    let cost = failure(|r| r.policies = vec!["cost".to_owned()]);
    assert!(cost.contains("the trace has no use of memory"), "{cost}");
    let forecasts = failure(|r| r.policies = vec!["kedastral".to_owned()]);
    assert!(forecasts.contains("needs forecasts"), "{forecasts}");
}
