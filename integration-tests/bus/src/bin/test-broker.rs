//! A Kafka of one broker with the topics that are named, for whoever starts this: it says where clients connect, and ends
//! when its standard input does.

use bus_tests::kafka_broker::TestBroker;
use bus_tests::plain_topic::PlainTopic;
use std::io;

const PARTITIONS: u32 = 3;

fn main() {
    let broker = TestBroker::start();
    let servers = broker.bootstrap_servers();
    for topic in std::env::args().skip(1) {
        PlainTopic::make(&servers, &topic, PARTITIONS);
    }
    println!("{servers}");
    drop(io::copy(&mut io::stdin(), &mut io::sink()));
}
