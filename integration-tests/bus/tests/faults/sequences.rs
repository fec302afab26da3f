//! What the bus guards against by destroying producers: librdkafka gives the sequence numbers of aborted records
//! that it does not know to have arrived to the next ones. When this fails because librdkafka has mended that, the
//! guard (`TransactionFailure::Spent`) can go.

use crate::{cluster, on};
use bus_tests::conformance::fixture::{pass, read_all, until};
use bus_tests::faults::copy::BusAt;
use bus_tests::faults::verdict::CHAIN;
use bus_tests::toxiproxy::Way;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::sync::Mutex;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than it takes to abort, so that nothing is sent again before.
const RECONNECT_AFTER_MS: &str = "5000";
/// By then the client has noticed that its connections have ended.
const NOTICED_AFTER: Duration = Duration::from_millis(1000);

/// Keeps the offset of each record, or that it was not delivered.
#[derive(Default)]
struct Deliveries(Mutex<Vec<Option<i64>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.lock().expect("nobody panics").push(result.as_ref().ok().map(|message| message.offset()));
    }
}

type TestProducer = ThreadedProducer<Deliveries>;

fn send(producer: &TestProducer, topic: &str, payload: &str) {
    let record = BaseRecord::<(), str>::to(topic).partition(0).payload(payload);
    producer.send(record).map_err(|(error, _)| error).expect("it is handed over");
}

fn deliveries(producer: &TestProducer) -> Vec<Option<i64>> {
    producer.context().0.lock().expect("nobody panics").clone()
}

#[test]
fn librdkafka_takes_a_record_for_an_aborted_one_that_had_its_number() {
    let cluster = cluster();
    let installation = on(&cluster);
    installation.make_topics();
    let BusAt::Kafka { prefix, .. } = &installation.bus else { panic!("it is on the cluster") };
    let (observer, topic) = (installation.observer(), format!("{prefix}{}", CHAIN[0]));
    let producer: TestProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("transactional.id", &topic)
        .set("reconnect.backoff.ms", RECONNECT_AFTER_MS)
        .create_with_context(Deliveries::default())
        .expect("the producer starts");
    producer.init_transactions(PATIENCE).expect("Kafka answers");

    // The first record makes the partition part of the transaction; the second is written and not acknowledged.
    producer.begin_transaction().expect("it begins");
    send(&producer, &topic, "first");
    producer.flush(PATIENCE).expect("it is delivered");
    let links = || (0..cluster.size()).map(|broker| cluster.link(broker));
    links().for_each(|link| link.lose(Way::ToClient));
    send(&producer, &topic, "aborted");
    until("the record to be written", || {
        let lags = observer.lag("nobody", CHAIN[0]).ok()?;
        lags.iter().any(|lag| lag.partition == 0 && lag.end == 2).then_some(())
    });
    // The connections end, and the record waits to be sent again.
    links().for_each(|link| link.mend());
    pass(NOTICED_AFTER);
    producer.abort_transaction(PATIENCE).expect("it is aborted");
    assert_eq!(deliveries(&producer), [Some(0), None]);

    producer.begin_transaction().expect("it begins");
    send(&producer, &topic, "lost");
    producer.flush(PATIENCE).expect("it is delivered");
    producer.commit_transaction(PATIENCE).expect("it is committed");
    assert_eq!(deliveries(&producer).last(), Some(&Some(1)), "it is said to lie where the aborted one lies");
    assert_eq!(read_all(observer.as_ref(), CHAIN[0]), []);
}
