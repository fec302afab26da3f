//! What happens to a pipeline and its cluster, and how it is mended.

use super::copy::{SESSION_TIMEOUT, TRANSACTION_TIMEOUT};
use super::pipeline::Pipeline;
use super::seed::Chance;
use crate::conformance::fixture::pass;
use crate::kafka_cluster::TestCluster;
use crate::toxiproxy::{Link, Way};
use std::time::Duration;

/// One fault. Processes and brokers are numbered from 0; process 0 is the source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// A process is killed and started again at once.
    KillProcess(usize),
    /// All processes are killed; then they are started again.
    KillAllProcesses,
    /// A process stops in good order and is started again.
    BounceProcess(usize),
    /// A process stands still for so long.
    PauseProcess(usize, Duration),
    /// A broker is killed and started again at once.
    KillBroker(usize),
    /// A broker stops in good order and is started again.
    BounceBroker(usize),
    /// A broker stands still for so long.
    PauseBroker(usize, Duration),
    /// A broker, or all, cannot be reached by clients for so long.
    Cut(Option<usize>, Duration),
    /// Nothing goes one way between clients and brokers for so long; then all that was sent arrives.
    Hold(Way, Duration),
    /// What goes one way between clients and brokers is lost for so long.
    Lose(Way, Duration),
    /// All traffic is slow for so long: latency each way, kilobytes a second on each connection.
    Slow(Duration, u32, Duration),
}

impl Fault {
    /// Faults of processes alone, all kinds in turn.
    pub fn of_processes(chance: &mut Chance, members: usize) -> Self {
        match chance.among(0..10) {
            0..6 => Self::KillProcess(chance.among(0..members)),
            6..8 => Self::KillAllProcesses,
            _ => Self::BounceProcess(chance.among(0..members)),
        }
    }

    /// Any fault of processes, brokers and the network.
    pub fn any(chance: &mut Chance, members: usize, brokers: usize) -> Self {
        let beyond_session = SESSION_TIMEOUT + chance.millis(1000..4000);
        let around_transaction = TRANSACTION_TIMEOUT + chance.millis(0..4000) - Duration::from_secs(2);
        let way = if chance.among(0..2) == 0 { Way::ToServer } else { Way::ToClient };
        match chance.among(0..17) {
            0..7 => Self::of_processes(chance, members),
            7 => Self::PauseProcess(chance.among(0..members), beyond_session),
            8 | 9 => Self::KillBroker(chance.among(0..brokers)),
            10 => Self::BounceBroker(chance.among(0..brokers)),
            11 => Self::PauseBroker(chance.among(0..brokers), around_transaction),
            12 => Self::Cut(None, around_transaction),
            13 => Self::Cut(Some(chance.among(0..brokers)), around_transaction),
            14 => Self::Hold(way, around_transaction),
            15 => Self::Lose(way, around_transaction),
            _ => Self::Slow(chance.millis(20..200), 20 + chance.among(0..180) as u32, around_transaction),
        }
    }

    /// Lets it happen to processes, and mends it.
    ///
    /// # Panics
    /// When it is a fault of brokers or the network.
    pub fn strike_processes(self, pipeline: &mut Pipeline) {
        match self {
            Self::KillProcess(number) => {
                pipeline.kill(number);
                pipeline.restart(number);
            }
            Self::KillAllProcesses => {
                (0..pipeline.members()).for_each(|number| pipeline.kill(number));
                pipeline.assert_positions_not_ahead();
                (0..pipeline.members()).for_each(|number| pipeline.restart(number));
            }
            Self::BounceProcess(number) => {
                let ended = pipeline.member(number).stop();
                assert!(ended.success(), "process {number} stops in good order");
                pipeline.restart(number);
            }
            Self::PauseProcess(number, time) => {
                pipeline.member(number).pause();
                pass(time);
                pipeline.member(number).resume();
            }
            other => panic!("{other:?} needs a cluster"),
        }
    }

    /// Lets it happen, and mends it.
    pub fn strike(self, pipeline: &mut Pipeline, cluster: &mut TestCluster) {
        let links = |cluster: &TestCluster, which: Option<usize>| match which {
            Some(broker) => broker..broker + 1,
            None => 0..cluster.size(),
        };
        let each = |cluster: &TestCluster, which, time, change: &dyn Fn(&Link)| {
            links(cluster, which).for_each(|broker| change(cluster.link(broker)));
            pass(time);
            links(cluster, which).for_each(|broker| cluster.link(broker).mend());
        };
        match self {
            Self::KillBroker(broker) => {
                cluster.kill(broker);
                cluster.run(broker);
                cluster.await_in_sync();
            }
            Self::BounceBroker(broker) => {
                cluster.stop(broker);
                cluster.run(broker);
                cluster.await_in_sync();
            }
            Self::PauseBroker(broker, time) => {
                cluster.pause(broker);
                pass(time);
                cluster.resume(broker);
                cluster.await_in_sync();
            }
            Self::Cut(which, time) => each(cluster, which, time, &|link| link.cut()),
            Self::Hold(way, time) => each(cluster, None, time, &|link| link.hold(way)),
            Self::Lose(way, time) => each(cluster, None, time, &|link| link.lose(way)),
            Self::Slow(latency, rate, time) => each(cluster, None, time, &|link| link.slow(latency, rate)),
            of_processes => of_processes.strike_processes(pipeline),
        }
    }
}
