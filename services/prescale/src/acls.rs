//! `prescale topics acls`: the least rights on Kafka that each service needs, as `kafka-acls.sh`
//! commands or JSON. What one use of the bus needs is the bus's to say; here stands who uses what.

use crate::pretty_json;
use crate::services::{ORDERS, ServiceEntry};
use crate::settings::Settings;
use crate::topics;
use anyhow::Result;
use prescale_bus::kafka::acls::{Acl, AclTool, BusUse, Resource, commands, needed};
use prescale_chassis::{Context, SourceEntry, StageEntry, Use};
use serde_json::json;
use std::collections::BTreeSet;

/// The rights of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAcls {
    /// The service; `operator` is whoever uses this command line.
    pub service: &'static str,
    /// What it may do.
    pub acls: BTreeSet<Acl>,
}

/// The rights of every service that is on, in the order of the list, over the stages of the context.
pub fn service_acls(
    services: &[ServiceEntry],
    context: &Context,
    settings: &Settings,
    topic_prefix: &str,
) -> Vec<ServiceAcls> {
    let graph = &context.graph;
    let of_service = |service: &ServiceEntry| {
        let stages: Vec<(StageEntry, String)> =
            (service.stages)(settings).into_iter().map(|stage| (stage, context.group(stage.stage))).collect();
        let others: Vec<(Use, String)> =
            (service.uses)(settings, graph).into_iter().map(|one| with_group(context, one)).collect();
        let uses: Vec<BusUse<'_>> = stages.iter().map(as_stage).chain(others.iter().map(as_use)).collect();
        ServiceAcls { service: service.name, acls: needed(topic_prefix, &uses) }
    };
    let on = services.iter().filter(|service| service.is_on(settings, graph)).map(of_service);
    on.chain(of_foreign_topics(settings)).chain([operator(context, topic_prefix)]).collect()
}

/// Of the collector, to read topics of others that lie on the bus's own Kafka: those have no prefix. On another cluster the
/// same rights are for whoever runs that.
fn of_foreign_topics(settings: &Settings) -> Option<ServiceAcls> {
    let topics = settings.collector.kafka_topics.values().filter(|topic| topic.bootstrap_servers.is_empty());
    let uses: Vec<BusUse<'_>> = topics.map(|topic| BusUse::Reader { topic: &topic.topic }).collect();
    (!uses.is_empty()).then(|| ServiceAcls { service: "collector", acls: needed("", &uses) })
}

/// Of whoever uses this command line: topics are made and read, stages watched, orders given.
fn operator(context: &Context, topic_prefix: &str) -> ServiceAcls {
    let topics = topics::specs(&context.graph, 1, 1);
    let groups: Vec<(Use, String)> =
        context.graph.stages().iter().map(|stage| with_group(context, Use::Watches(*stage))).collect();
    let of_topics = topics.iter().flat_map(|t| [BusUse::Maker { topic: &t.name }, BusUse::Reader { topic: &t.name }]);
    let uses: Vec<BusUse<'_>> = of_topics.chain([as_source(&ORDERS)]).chain(groups.iter().map(as_use)).collect();
    ServiceAcls { service: "operator", acls: needed(topic_prefix, &uses) }
}

/// With the consumer group that it names, where it names one.
fn with_group(context: &Context, one: Use) -> (Use, String) {
    let group = match &one {
        Use::Watches(stage) => context.group(stage.stage),
        Use::Ends { group, .. } => (*group).to_owned(),
        Use::Writes(_) | Use::Reads(_) => String::new(),
    };
    (one, group)
}

fn as_stage((stage, group): &(StageEntry, String)) -> BusUse<'_> {
    BusUse::Stage { input: stage.input, outputs: stage.outputs, group }
}

fn as_use((one, group): &(Use, String)) -> BusUse<'_> {
    match one {
        Use::Writes(source) => as_source(source),
        Use::Reads(topic) => BusUse::Reader { topic },
        Use::Watches(stage) => BusUse::Lag { group, topic: stage.input },
        Use::Ends { topic, .. } => BusUse::Lag { group, topic },
    }
}

fn as_source(source: &SourceEntry) -> BusUse<'_> {
    BusUse::Source { id: source.id, topics: source.topics }
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
    use crate::services::{SERVICES, graph};
    use prescale_archiver::stages::PARQUET;
    use prescale_chassis::GroupConfig;
    use prescale_collector::config::KafkaTopicConfig;
    use prescale_contracts::topics;

    const PREFIX: &str = "User:prescale-";

    fn tool() -> AclTool {
        AclTool { bootstrap_servers: "broker:9092".into(), command_config: None }
    }

    fn acls_of(settings: &Settings, prefix: &str) -> Vec<ServiceAcls> {
        let context = Context::default().with_graph(graph(&SERVICES, settings));
        service_acls(&SERVICES, &context, settings, prefix)
    }

    fn of<'a>(services: &'a [ServiceAcls], name: &str) -> Vec<String> {
        let found: &'a ServiceAcls = services.iter().find(|s| s.service == name).unwrap();
        found.acls.iter().map(Acl::to_string).collect()
    }

    #[test]
    fn the_entries_are_what_the_stages_say() {
        let mut settings = Settings::default();
        let all = GroupConfig { workloads: vec!["*".to_owned()], sources: Vec::new() };
        settings.grouper.groups.insert("all".to_owned(), all);
        let mut stages = 0;
        for service in &SERVICES {
            for (factory, entry) in (service.factories)(&settings).unwrap().iter().zip((service.stages)(&settings)) {
                let outputs = factory.output_topics();
                let outputs: Vec<&str> = outputs.iter().map(|topic| &**topic).collect();
                assert_eq!((factory.name(), &*factory.input_topic()), (entry.stage, entry.input));
                assert_eq!(outputs, entry.outputs);
                stages += 1;
            }
        }
        assert_eq!(stages, 11, "all that keep a state");
    }

    #[test]
    fn only_the_operator_makes_topics_and_nobody_writes_the_work_of_others() {
        let services = acls_of(&Settings::default(), "eu.");
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
    fn a_fleet_hears_of_results_and_waits_for_those_who_lead_to_them() {
        let rights = |enabled| {
            let mut settings = Settings::default();
            settings.collector.fleet.enabled = enabled;
            of(&acls_of(&settings, ""), "collector")
        };
        let (with, without) = (rights(true), rights(false));
        let reads_results = "Read on topic \"action-results\"".to_owned();
        assert!(with.contains(&reads_results) && !without.contains(&reads_results));
        let watches = |stage: &str| with.contains(&format!("Describe on group \"prescale-{stage}\""));
        assert!(watches("actuator") && !watches("grouper"), "{with:?}");
    }

    #[test]
    fn a_topic_of_others_is_read_by_its_whole_name_where_it_lies_on_the_own_kafka() {
        let mut settings = Settings::default();
        let topic = |topic: &str, bootstrap_servers: &str| KafkaTopicConfig {
            topic: topic.to_owned(),
            bootstrap_servers: bootstrap_servers.to_owned(),
            ..KafkaTopicConfig::default()
        };
        settings.collector.kafka_topics.insert("here".to_owned(), topic("telegraf", ""));
        settings.collector.kafka_topics.insert("there".to_owned(), topic("elsewhere", "other:9092"));
        let services = acls_of(&settings, "eu.");
        let of_collector = services.iter().filter(|s| s.service == "collector").flat_map(|s| &s.acls);
        let rights: Vec<String> = of_collector.map(Acl::to_string).collect();
        for right in ["Read on topic \"telegraf\"", "Describe on group \"readers\""] {
            assert!(rights.contains(&right.to_owned()), "{rights:?}");
        }
        assert!(!rights.iter().any(|right| right.contains("elsewhere")), "{rights:?}");
    }

    #[test]
    fn the_grouper_writes_what_groups_have() {
        let mut settings = Settings::default();
        assert!(acls_of(&settings, "eu.").iter().all(|s| s.service != "grouper"), "without groups it needs nothing");
        let all = GroupConfig { workloads: vec!["*".to_owned()], sources: Vec::new() };
        settings.grouper.groups.insert("all".to_owned(), all);
        let rights = of(&acls_of(&settings, "eu."), "grouper");
        for topic in [topics::GROUP_PARTS, topics::GROUP_PREDICTIONS] {
            assert!(rights.contains(&format!("Write on topic \"eu.{topic}\"")), "{rights:?}");
        }
        assert!(!rights.contains(&"Write on topic \"eu.predictions\"".to_owned()));
    }

    #[test]
    fn the_planner_reads_predictions_and_writes_what_it_says_of_them() {
        let rights = of(&acls_of(&Settings::default(), "eu."), "planner");
        assert!(rights.contains(&"Read on topic \"eu.predictions\"".to_owned()), "{rights:?}");
        for topic in [topics::OUTCOMES, topics::PROPOSALS] {
            assert!(rights.contains(&format!("Write on topic \"eu.{topic}\"")), "{rights:?}");
        }
        assert!(!rights.iter().any(|right| right.contains("eu.actions")), "{rights:?}");
    }

    #[test]
    fn the_scaler_reads_forecasts_and_actions_and_writes_nothing() {
        let mut settings = Settings::default();
        assert!(acls_of(&settings, "eu.").iter().all(|s| s.service != "scaler"), "it needs nothing while it is off");
        let scaler = prescale_scaler::Config { listen: "127.0.0.1:0".to_owned(), ..prescale_scaler::Config::default() };
        settings.own.put("scaler", scaler);
        let rights = of(&acls_of(&settings, "eu."), "scaler");
        for topic in [topics::PREDICTIONS_LATEST, topics::ACTIONS] {
            assert!(rights.contains(&format!("Read on topic \"eu.{topic}\"")), "{rights:?}");
        }
        assert!(
            !rights.iter().any(|right| right.starts_with("Write") || right.starts_with("Read on group")),
            "{rights:?}"
        );
    }

    #[test]
    fn the_archiver_reads_what_its_stores_need() {
        let mut settings = Settings::default();
        let without = acls_of(&settings, "eu.");
        assert!(without.iter().all(|s| s.service != "archiver"), "it needs nothing while all stores are off");
        settings.archiver.parquet.folder = "archive".into();
        let rights = of(&acls_of(&settings, "eu."), "archiver");
        for StageEntry { stage, input, .. } in PARQUET {
            assert!(rights.contains(&format!("Read on topic \"eu.{input}\"")), "{rights:?}");
            assert!(rights.contains(&format!("Read on group \"eu.prescale-{stage}\"")), "{rights:?}");
        }
        assert!(!rights.contains(&"Write on topic \"eu.predictions\"".to_owned()));
    }

    #[test]
    fn text_is_commands_and_json_is_a_list() {
        let services = acls_of(&Settings::default(), "eu.");
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
