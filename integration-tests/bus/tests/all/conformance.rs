//! The bus's conformance suite against both backends, and what only one of them has.

/// One test a property, each on an installation of its own.
macro_rules! conformance {
    ($under_test:expr) => {
        conformance!($under_test =>
            topics::topics_are_made_once,
            topics::unknown_topics_are_errors,
            topics::order_is_kept_per_key,
            steps::a_failed_step_leaves_nothing,
            steps::rejected_records_go_to_the_dead_letter_queue,
            steps::every_input_is_counted,
            steps::lag_is_zero_at_rest,
            restarts::a_restart_changes_no_byte,
            stateless::a_stage_without_state_goes_on_where_it_was,
            restarts::a_restart_without_snapshot_changes_no_byte,
            restarts::a_truncated_snapshot_is_put_aside,
            restarts::a_snapshot_of_another_schema_is_put_aside,
            restarts::a_snapshot_put_aside_has_a_successor_at_once,
            restarts::a_large_state_comes_back_from_its_snapshot,
            restarts::a_snapshot_with_a_damaged_slice_is_put_aside,
            restarts::a_stopped_stage_drains,
            reading::a_source_position_goes_with_its_records,
            reading::a_source_opened_again_fences_the_first,
            reading::a_reader_goes_on_where_it_was,
            reading::a_reader_of_one_partition_reads_that_one,
            reading::a_reader_begins_at_the_offsets_that_it_is_given,
            sharing::instances_share_and_hand_over,
            dead_letters::a_replay_writes_each_letter_back_once,
            dead_letters::replays_at_once_double_nothing,
        );
    };
    ($under_test:expr => $($module:ident::$property:ident),* $(,)?) => {
        $(
            #[test]
            fn $property() {
                bus_tests::conformance::$module::$property(&$under_test);
            }
        )*
    };
}

mod kafka {
    use bus_tests::conformance::backends::Kafka;
    use bus_tests::conformance::fixture::{
        GROUP, INPUT, OUTPUT, PATIENCE, RunningStage, assert_exactly, assert_written_exactly, await_no_lag, inputs,
        make_topics, options, pass, read_all, read_count, record, until, until_within, write,
    };
    use bus_tests::conformance::stage::ChainingFactory;
    use bus_tests::conformance::{BusUnderTest, Damage};
    use bus_tests::kafka_broker::TestBroker;
    use prescale_bus::kafka::{KafkaBus, KafkaOptions};
    use prescale_bus::partitioner::murmur2;
    use prescale_bus::{Bus, BusError, CaughtUp, OutputRecord, ReadFrom, Source};
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    conformance!(Kafka::fresh());

    fn start(bus: &Arc<dyn Bus>) -> RunningStage {
        RunningStage::start(bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 20))
    }

    /// The records of an aborted transaction are in the log, and nobody sees them.
    #[test]
    fn records_of_an_aborted_transaction_are_not_seen() {
        let under_test = Kafka::fresh();
        let bus = under_test.open("a");
        make_topics(bus.as_ref());
        let mut source = bus.source("meter").expect("the source opens");
        source.append(inputs(0, 5), b"5").expect("the records are written");
        let mut too_large = inputs(5, 300);
        too_large.push(OutputRecord { value: Some(vec![0; 2 << 20]), ..record(INPUT, "key-1", "") });
        match source.append(too_large, b"6") {
            Err(BusError::Backend { retryable: false, .. }) => {}
            other => panic!("a record of 2 MiB is refused for good, got {other:?}"),
        }
        assert_eq!(source.position().expect("the position is readable"), Some(b"5".to_vec()));
        source.append(inputs(5, 5), b"10").expect("the source goes on");
        read_count(bus.as_ref(), INPUT, 10);
        let stage = start(&bus);
        await_no_lag(bus.as_ref(), GROUP);
        stage.stop().expect("the stage stops");
        assert_exactly(bus.as_ref(), &inputs(0, 10));
    }

    /// Two instances with one name: the later one has it, the earlier one says so and ends.
    #[test]
    fn a_second_instance_of_the_same_name_takes_over() {
        let under_test = Kafka::fresh();
        let bus = under_test.open("a");
        make_topics(bus.as_ref());
        let mut source = bus.source("meter").expect("the source opens");
        write(source.as_mut(), inputs(0, 50));
        let first = start(&bus);
        await_no_lag(bus.as_ref(), GROUP);
        let second = start(&under_test.open("a"));
        match first.ended() {
            Err(BusError::Fenced { stage }) => assert_eq!(stage, "chaining"),
            other => panic!("the first instance is fenced, got {other:?}"),
        }
        write(source.as_mut(), inputs(50, 50));
        await_no_lag(bus.as_ref(), GROUP);
        second.stop().expect("the second stops");
        assert_exactly(bus.as_ref(), &inputs(0, 100));
    }

    /// Records that the source writes at a time while the broker is killed.
    const BATCH: usize = 40;
    /// After the broker is back, source and stage have gone on within this.
    const BACK_AT_WORK_WITHIN: Duration = Duration::from_secs(60);

    /// Writes the next batch, trying again and again.
    fn write_next(source: &mut dyn Source, written: &mut usize, at_most: Duration) {
        let next = (*written + BATCH).to_string().into_bytes();
        until_within(at_most, "the source to write", || {
            if source.position().ok()? == Some(next.clone()) {
                return Some(());
            }
            source.append(inputs(*written, BATCH), &next).ok()
        });
        *written += BATCH;
    }

    /// Kills the broker after the delay and starts it again, the source and the stage being at work
    /// all the time; returns when the source has written again.
    fn kill_under_load(broker: &mut TestBroker, delay: Duration, source: &mut dyn Source, written: &mut usize) {
        thread::scope(|scope| {
            let outage = scope.spawn(|| {
                pass(delay);
                broker.kill();
                broker.run();
            });
            while !outage.is_finished() {
                write_next(source, written, PATIENCE);
            }
        });
        write_next(source, written, BACK_AT_WORK_WITHIN);
    }

    /// The broker is killed and started again while a stage and a source are at work: first while
    /// only the stage is, then twice in the middle of the transactions of both. The moments follow
    /// from `BROKER_FAULT_SEED`.
    #[test]
    fn a_broker_that_is_killed_loses_and_repeats_nothing() {
        let mut broker = TestBroker::start();
        let state_dir = tempfile::tempdir().expect("a folder for snapshots");
        let connected = KafkaBus::connect(KafkaOptions {
            bootstrap_servers: broker.bootstrap_servers(),
            state_dir: state_dir.path().to_owned(),
            session_timeout_ms: 6000,
            transaction_timeout_ms: 5000,
            request_timeout: Duration::from_secs(5),
            ..KafkaOptions::default()
        });
        let bus: Arc<dyn Bus> = Arc::new(connected.expect("the broker answers"));
        make_topics(bus.as_ref());
        let stage = start(&bus);
        let mut source = bus.source("meter").expect("the source opens");
        let seed = std::env::var("BROKER_FAULT_SEED").map_or(1, |seed| seed.parse().expect("the seed is a number"));
        let mut written = 0;
        for kill in 0..3 {
            let moment = murmur2(format!("{seed}/{kill}").as_bytes()).unsigned_abs();
            for _ in 0..3 + moment % 4 {
                write_next(source.as_mut(), &mut written, PATIENCE);
            }
            if kill == 0 {
                broker.kill();
                broker.run();
                write_next(source.as_mut(), &mut written, BACK_AT_WORK_WITHIN);
            } else {
                let delay = Duration::from_micros(u64::from(moment % 200_000));
                kill_under_load(&mut broker, delay, source.as_mut(), &mut written);
            }
        }
        until_within(BACK_AT_WORK_WITHIN, "the stage to be through", || {
            let lags = bus.lag(GROUP, INPUT).ok()?;
            lags.iter().all(|l| l.behind() == 0).then_some(())
        });
        stage.stop().expect("the stage stops");
        assert_eq!(source.position().expect("it is readable"), Some(written.to_string().into_bytes()));
        assert_written_exactly(bus.as_ref(), &inputs(0, written));
        assert_exactly(bus.as_ref(), &inputs(0, written));
    }

    /// A snapshot from another cluster, or ahead of the committed position, is not believed.
    #[test]
    fn snapshots_of_another_installation_are_put_aside() {
        let (one, other) = (Kafka::fresh(), Kafka::fresh());
        for under_test in [&one, &other] {
            let bus = under_test.open("a");
            make_topics(bus.as_ref());
            write(bus.source("meter").expect("the source opens").as_mut(), inputs(0, 80));
            let stage = start(&bus);
            await_no_lag(bus.as_ref(), GROUP);
            stage.stop().expect("the stage stops");
        }
        assert!(other.damage_snapshots(GROUP, Damage::Removed) > 0);
        for from in one.snapshots(GROUP, ".snapshot") {
            let name =
                from.file_name().expect("a file has a name").to_string_lossy().replace(&one.prefix, &other.prefix);
            let folder = other.state_dir().join("a").join(format!("{}{GROUP}", other.prefix));
            std::fs::copy(&from, folder.join(name)).expect("it is copied");
        }
        let bus = other.open("a");
        write(bus.source("meter").expect("the source opens").as_mut(), inputs(80, 80));
        let stage = start(&bus);
        await_no_lag(bus.as_ref(), GROUP);
        stage.stop().expect("the stage stops");
        assert!(other.rejected_snapshots(GROUP) > 0);
        assert_exactly(bus.as_ref(), &inputs(0, 160));
    }

    /// The test broker is a real one: topics are not made by asking for them.
    #[test]
    fn a_reader_of_an_empty_prefix_finds_nothing() {
        let bus = Kafka::fresh().open("a");
        assert_eq!(bus.topics().expect("the topics are listed"), vec![]);
        make_topics(bus.as_ref());
        let mut reader = bus.reader(INPUT, ReadFrom::Back(3)).expect("the reader opens");
        until("the end", || {
            let (records, caught_up) = reader.poll(10, Duration::from_millis(100)).expect("it is readable");
            assert_eq!(records, vec![]);
            (caught_up == CaughtUp::Yes).then_some(())
        });
        assert_eq!(read_all(bus.as_ref(), OUTPUT), vec![]);
    }
}

mod embedded {
    use bus_tests::conformance::BusUnderTest;
    use bus_tests::conformance::backends::Embedded;
    use bus_tests::conformance::fixture::{
        GROUP, INPUT, OUTPUT, RunningStage, assert_exactly, await_no_lag, inputs, make_topics, options, write,
    };
    use bus_tests::conformance::stage::ChainingFactory;
    use prescale_bus::Bus;
    use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
    use std::sync::Arc;
    use std::time::Duration;

    conformance!(Embedded::fresh());

    /// With leases that are void at once, two instances work on the same partitions all the time;
    /// the compare-and-swap of the position alone keeps the outputs right.
    #[test]
    fn without_leases_competing_instances_still_do_the_work_once() {
        let under_test = Embedded::fresh();
        make_topics(under_test.open("a").as_ref());
        let open = || -> Arc<dyn Bus> {
            let options = EmbeddedOptions { lease: Duration::ZERO, ..EmbeddedOptions::default() };
            Arc::new(EmbeddedBus::open(under_test.path(), options).expect("the log opens"))
        };
        let (first, second) = (open(), open());
        let stages = [&first, &second]
            .map(|bus| RunningStage::start(bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 7)));
        let mut source = first.source("competing").expect("the source opens");
        for round in 0..20 {
            write(source.as_mut(), inputs(round * 50, 50));
        }
        await_no_lag(first.as_ref(), GROUP);
        for stage in stages {
            stage.stop().expect("the stage stops");
        }
        assert_exactly(first.as_ref(), &inputs(0, 1000));
    }
}
