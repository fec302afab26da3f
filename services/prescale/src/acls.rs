//! `prescale topics acls`: the least rights on Kafka that each service needs, as `kafka-acls.sh`
//! commands or JSON. What one use of the bus needs is the bus's to say; here stands who uses what.

use crate::pretty_json;
use anyhow::Result;
use prescale_bus::kafka::acls::{Acl, AclTool, BusUse, Resource, commands, needed};
use prescale_chassis::orders;
use prescale_chassis::pipeline::outputs_of;
use prescale_chassis::{Context, STAGES, StageInput};
use prescale_collector::FEEDBACK_GROUP;
use prescale_contracts::topics;
use serde_json::json;
use std::collections::BTreeSet;

/// What of the configuration decides who needs what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// `[collector.fleet]` is enabled: the collector hears of its actions' results.
    pub fleet: bool,
    /// `[collector.replay]` is: the collector looks how far the first stage is behind.
    pub replay: bool,
    /// The stages that the archiver runs.
    pub sinks: Vec<StageInput>,
    /// The stages that the grouper runs.
    pub group_stages: Vec<StageInput>,
    /// The evaluator's stage, where it is enabled.
    pub evaluator: Vec<StageInput>,
}

/// The rights of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAcls {
    /// The service; `operator` is whoever uses this command line.
    pub service: &'static str,
    /// What it may do.
    pub acls: BTreeSet<Acl>,
}

/// The rights of every service, in the order of the data.
pub fn service_acls(context: &Context, configured: &Configured, topic_prefix: &str) -> Vec<ServiceAcls> {
    let groups: Vec<String> = STAGES.iter().map(|s| context.group(s.stage)).collect();
    let table: Vec<String> = topics::table().into_iter().map(|t| t.name).collect();
    let dead_letters: Vec<String> = STAGES.iter().map(|s| topics::dlq_of(s.topic)).collect();
    let lags = || STAGES.iter().zip(&groups).map(|(s, group)| BusUse::Lag { group, topic: s.topic });
    let service = |service, uses: Vec<BusUse<'_>>| ServiceAcls { service, acls: needed(topic_prefix, &uses) };

    let mut collector = vec![BusUse::Source { id: None, topics: &[topics::RAW_KPIS] }];
    if configured.fleet {
        let results = topics::ACTION_RESULTS;
        collector.extend([BusUse::Reader { topic: results }, BusUse::Lag { group: FEEDBACK_GROUP, topic: results }]);
        collector.extend(lags());
    }
    if configured.replay {
        collector.extend(lags().take(1));
    }
    let stages = STAGES.iter().zip(&groups).map(|(s, group)| {
        service(s.stage, vec![BusUse::Stage { input: s.topic, outputs: outputs_of(s.stage), group }])
    });
    let shown = STAGES.iter().map(|s| s.topic).chain([topics::ACTION_RESULTS, topics::CONTROL, topics::OUTCOMES]);
    let orders = BusUse::Source { id: Some(orders::SOURCE), topics: &[topics::PROPOSALS] };
    let console = shown
        .chain(dead_letters.iter().map(String::as_str))
        .map(|topic| BusUse::Reader { topic })
        .chain(lags())
        .chain([orders])
        .collect();
    let with_groups = |inputs: &[StageInput]| -> Vec<(StageInput, String)> {
        inputs.iter().map(|s| (*s, context.group(s.stage))).collect()
    };
    let (group_stages, sinks) = (with_groups(&configured.group_stages), with_groups(&configured.sinks));
    let evaluator = with_groups(&configured.evaluator);
    let other_lags =
        group_stages.iter().chain(&evaluator).chain(&sinks).map(|(s, group)| BusUse::Lag { group, topic: s.topic });
    let operator = table
        .iter()
        .flat_map(|topic| [BusUse::Maker { topic }, BusUse::Reader { topic }])
        .chain([orders])
        .chain(lags())
        .chain(other_lags)
        .collect();
    let optional = |name, stages: &[(StageInput, String)]| {
        let stage = |s: &StageInput, group| BusUse::Stage { input: s.topic, outputs: outputs_of(s.stage), group };
        let uses: Vec<_> = stages.iter().map(|(s, group)| stage(s, group)).collect();
        (!uses.is_empty()).then(|| service(name, uses))
    };
    let (grouper, archiver) = (optional("grouper", &group_stages), optional("archiver", &sinks));
    let evaluator = optional("evaluator", &evaluator);
    let ends = [service("console", console), service("operator", operator)];
    std::iter::once(service("collector", collector))
        .chain(stages)
        .chain(grouper)
        .chain(evaluator)
        .chain(archiver)
        .chain(ends)
        .collect()
}

/// The rights as commands for a shell, or JSON; a service's principal is `principal_prefix` and its
/// name.
///
/// # Errors
/// When they have no JSON form.
pub fn rendered(services: &[ServiceAcls], tool: &AclTool, principal_prefix: &str, as_json: bool) -> Result<String> {
    let principal = |service: &str| format!("{principal_prefix}{service}");
    if as_json {
        let list: Vec<_> = services
            .iter()
            .flat_map(|s| s.acls.iter().map(|acl| (s.service, acl)))
            .map(|(service, Acl { resource: Resource { kind, name, prefixed }, operation })| {
                json!({"service": service, "principal": principal(service), "operation": format!("{operation:?}"),
                       "resource_type": format!("{kind:?}"), "resource_name": name,
                       "pattern_type": if *prefixed { "Prefixed" } else { "Literal" }})
            })
            .collect();
        return pretty_json(&list);
    }
    let mut text = String::new();
    for ServiceAcls { service, acls } in services {
        text += &format!("# {service}\n");
        for command in commands(tool, &principal(service), acls) {
            text += &format!("{command}\n");
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use prescale_chassis::{EVALUATOR, GROUP_STAGES, SINKS, TypedStageFactory};
    use std::sync::Arc;

    const PREFIX: &str = "User:prescale-";

    fn tool() -> AclTool {
        AclTool { bootstrap_servers: "broker:9092".into(), command_config: None }
    }

    fn of<'a>(services: &'a [ServiceAcls], name: &str) -> Vec<String> {
        let found: &'a ServiceAcls = services.iter().find(|s| s.service == name).unwrap();
        found.acls.iter().map(Acl::to_string).collect()
    }

    #[test]
    fn the_table_of_outputs_is_what_the_stages_say() {
        let settings = Settings::default();
        let fingerprinter =
            prescale_fingerprinter::stage::Factory::new(Arc::new(settings.fingerprinter.settings().unwrap()));
        let predictor = prescale_predictor::stage::Factory::new(settings.predictor.settings().unwrap()).unwrap();
        let planner = prescale_planner::stage::Factory::new(Arc::new(settings.rules().unwrap()), Arc::default());
        let governor = prescale_governor::stage::Factory::new(Arc::new(settings.governor.rules().unwrap()), 4);
        let actuator = prescale_actuator::stage::Factory::new(Arc::new(settings.actuator.cloud_rules().unwrap()));
        let terms = settings.evaluator.terms(&settings.planner, &settings.grouper.groups).unwrap();
        let evaluator = prescale_evaluator::stage::Factory::new(Arc::new(terms));
        assert_eq!(evaluator.name(), EVALUATOR.stage);
        assert_eq!(evaluator.output_topics(), outputs_of(EVALUATOR.stage));
        let said = [
            (fingerprinter.name(), fingerprinter.output_topics()),
            (predictor.name(), predictor.output_topics()),
            (planner.name(), planner.output_topics()),
            (governor.name(), governor.output_topics()),
            (actuator.name(), actuator.output_topics()),
        ];
        assert_eq!(
            said.map(|(stage, topics)| (stage, topics)),
            STAGES.map(|s| (s.stage, outputs_of(s.stage).to_vec()))
        );
    }

    #[test]
    fn only_the_operator_makes_topics_and_nobody_writes_the_work_of_others() {
        let services = service_acls(&Context::default(), &Configured::default(), "eu.");
        for ServiceAcls { service, acls } in &services {
            let rights: Vec<String> = acls.iter().map(Acl::to_string).collect();
            assert_eq!(rights.iter().any(|r| r.starts_with("Create")), *service == "operator", "{rights:?}");
            let writes_actions = rights.contains(&"Write on topic \"eu.actions\"".to_owned());
            assert_eq!(writes_actions, *service == "governor", "{service}");
        }
        let is_written = |right: &&String| right.starts_with("Write on topic");
        let written = |service: &str| of(&services, service).into_iter().filter(|r| is_written(&r)).collect::<Vec<_>>();
        assert!(
            written("console").iter().all(|right| right.contains("proposals") || right.contains("source")),
            "orders alone"
        );
    }

    #[test]
    fn a_fleet_hears_of_results() {
        let reads = |fleet| {
            let services = service_acls(&Context::default(), &Configured { fleet, ..Configured::default() }, "");
            of(&services, "collector").contains(&"Read on topic \"action-results\"".to_owned())
        };
        assert!(reads(true) && !reads(false));
    }

    #[test]
    fn the_grouper_writes_what_groups_have() {
        let configured = Configured { group_stages: GROUP_STAGES.to_vec(), ..Configured::default() };
        let services = service_acls(&Context::default(), &configured, "eu.");
        let rights = of(&services, "grouper");
        for topic in [topics::GROUP_PARTS, topics::GROUP_PREDICTIONS] {
            assert!(rights.contains(&format!("Write on topic \"eu.{topic}\"")), "{rights:?}");
        }
        assert!(!rights.contains(&"Write on topic \"eu.predictions\"".to_owned()));
    }

    #[test]
    fn the_evaluator_reads_predictions_and_writes_outcomes_alone() {
        let without = service_acls(&Context::default(), &Configured::default(), "eu.");
        assert!(without.iter().all(|s| s.service != "evaluator"), "it needs nothing while it is off");
        let configured = Configured { evaluator: vec![EVALUATOR], ..Configured::default() };
        let rights = of(&service_acls(&Context::default(), &configured, "eu."), "evaluator");
        assert!(rights.contains(&"Read on topic \"eu.predictions\"".to_owned()), "{rights:?}");
        assert!(rights.contains(&"Write on topic \"eu.outcomes\"".to_owned()), "{rights:?}");
        assert!(!rights.iter().any(|right| right.contains("eu.proposals") || right.contains("eu.actions")));
    }

    #[test]
    fn the_archiver_reads_what_its_stores_need() {
        let without = service_acls(&Context::default(), &Configured::default(), "eu.");
        assert!(without.iter().all(|s| s.service != "archiver"), "it needs nothing while all stores are off");
        let configured = Configured { sinks: SINKS.to_vec(), ..Configured::default() };
        let services = service_acls(&Context::default(), &configured, "eu.");
        let rights = of(&services, "archiver");
        for sink in SINKS {
            assert!(rights.contains(&format!("Read on topic \"eu.{}\"", sink.topic)), "{rights:?}");
            assert!(rights.contains(&format!("Read on group \"eu.prescale-{}\"", sink.stage)), "{rights:?}");
        }
        assert!(!rights.contains(&"Write on topic \"eu.predictions\"".to_owned()));
    }

    #[test]
    fn text_is_commands_and_json_is_a_list() {
        let services = service_acls(&Context::default(), &Configured::default(), "eu.");
        let text = rendered(&services, &tool(), PREFIX, false).unwrap();
        let line = "kafka-acls.sh --bootstrap-server broker:9092 --add --allow-principal User:prescale-planner \
                    --operation Read --group eu.prescale-planner\n";
        assert!(text.contains("# planner\n") && text.contains(line), "{text}");
        let list: Vec<serde_json::Value> =
            serde_json::from_str(&rendered(&services, &tool(), PREFIX, true).unwrap()).unwrap();
        assert!(list.iter().any(|acl| acl["principal"] == "User:prescale-actuator"
            && acl["resource_type"] == "TransactionalId"
            && acl["pattern_type"] == "Prefixed"));
    }
}
