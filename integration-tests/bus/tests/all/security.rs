//! Logins and TLS against a real broker: what is right works for every kind of client, what is
//! wrong is refused with what to do and without the secret.

use bus_tests::conformance::fixture::{
    GROUP, INPUT, OUTPUT, RunningStage, assert_exactly, await_no_lag, inputs, make_topics, options, until, write,
};
use bus_tests::conformance::stage::ChainingFactory;
use bus_tests::kafka_broker::TestBroker;
use bus_tests::kafka_listeners::{ADMIN, ADMIN_PASSWORD, now_s, write_token};
use prescale_bus::kafka::security::{Channel, Login, PasswordMechanism, Security};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_bus::{Bus, BusError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// An installation of its own on the secured broker.
struct Secured {
    folder: TempDir,
    prefix: String,
}

impl Secured {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), prefix: TestBroker::unique_prefix() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, (bootstrap_servers, security): (String, Security)) -> KafkaOptions {
        KafkaOptions {
            bootstrap_servers,
            security,
            topic_prefix: self.prefix.clone(),
            state_dir: self.file("state"),
            session_timeout_ms: 3000,
            transaction_timeout_ms: 10_000,
            request_timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(10),
            ..KafkaOptions::default()
        }
    }

    fn connect(&self, to: (String, Security)) -> Result<Arc<dyn Bus>, BusError> {
        Ok(Arc::new(KafkaBus::connect(self.options(to))?))
    }

    /// Why the connection is refused; the secrets are not in it.
    fn refused(&self, to: (String, Security)) -> String {
        let options = self.options(to);
        let shown = format!("{options:?}");
        let error = match KafkaBus::connect(options) {
            Ok(_) => panic!("{shown} is not refused"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains("swordfish") && !error.contains("swordfish"), "{shown}\n{error}");
        error
    }
}

/// Makes topics, writes through a source, copies with a stage and reads back: every kind of client.
fn assert_copies_once(bus: &Arc<dyn Bus>) {
    make_topics(bus.as_ref());
    write(bus.source("meter").expect("the source opens").as_mut(), inputs(0, 120));
    let stage = RunningStage::start(bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 50));
    await_no_lag(bus.as_ref(), GROUP);
    stage.stop().expect("the stage stops");
    assert_exactly(bus.as_ref(), &inputs(0, 120));
}

#[test]
fn a_stage_copies_exactly_once_over_each_password_mechanism() {
    for mechanism in [PasswordMechanism::Plain, PasswordMechanism::ScramSha256, PasswordMechanism::ScramSha512] {
        let secured = Secured::new();
        let to = TestBroker::shared_secured().secure().with_password(mechanism, ADMIN_PASSWORD);
        assert_copies_once(&secured.connect(to).expect("the login is right"));
    }
}

#[test]
fn a_stage_copies_exactly_once_with_a_client_certificate() {
    let to = TestBroker::shared_secured().secure().with_certificate();
    assert_copies_once(&Secured::new().connect(to).expect("the certificate is right"));
}

#[test]
fn a_stage_copies_exactly_once_with_a_token() {
    let secured = Secured::new();
    let file = secured.file("token");
    write_token(&file, ADMIN, now_s() + 3600);
    let to = TestBroker::shared_secured().secure().with_token(&file);
    assert_copies_once(&secured.connect(to).expect("the token is right"));
}

#[test]
fn a_wrong_password_is_refused() {
    for mechanism in [PasswordMechanism::Plain, PasswordMechanism::ScramSha512] {
        let to = TestBroker::shared_secured().secure().with_password(mechanism, "a swordfish of another");
        let error = Secured::new().refused(to);
        assert!(error.contains("uthentication failed") && error.contains("username and password"), "{error}");
    }
}

#[test]
fn a_mechanism_that_the_listener_lacks_is_refused() {
    let listeners = TestBroker::shared_secured().secure();
    let (plain, _) = listeners.with_password(PasswordMechanism::Plain, ADMIN_PASSWORD);
    let (_, scram) = listeners.with_password(PasswordMechanism::ScramSha512, ADMIN_PASSWORD);
    let error = Secured::new().refused((plain, scram));
    assert!(error.contains("[bus.kafka.security] mechanism"), "{error}");
}

#[test]
fn a_broker_of_an_unknown_ca_is_refused() {
    let listeners = TestBroker::shared_secured().secure();
    let (address, mut security) = listeners.with_password(PasswordMechanism::ScramSha512, ADMIN_PASSWORD);
    security.channel = listeners.tls("other-ca.pem", false);
    let error = Secured::new().refused((address, security));
    assert!(error.contains("certificate verify failed") && error.contains("ca_file"), "{error}");
}

#[test]
fn a_broker_of_another_name_is_refused() {
    let listeners = TestBroker::shared_secured().secure();
    let (address, security) = listeners.with_password(PasswordMechanism::ScramSha512, ADMIN_PASSWORD);
    let error = Secured::new().refused((address.replace("127.0.0.1", "localhost"), security));
    assert!(error.contains("certificate verify failed") && error.contains("must name its host"), "{error}");
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_needed() {
    let listeners = TestBroker::shared_secured().secure();
    let (address, mut security) = listeners.with_certificate();
    security.channel = listeners.tls("ca.pem", false);
    let error = Secured::new().refused((address, security));
    assert!(error.contains("certificate_file"), "{error}");
}

#[test]
fn another_protocol_than_the_listeners_is_refused() {
    let broker = TestBroker::shared_secured();
    let (tls_address, security) = broker.secure().with_password(PasswordMechanism::Plain, ADMIN_PASSWORD);
    let error = Secured::new().refused((tls_address, Security::default()));
    assert!(error.contains("[bus.kafka.security] protocol"), "{error}");
    let error = Secured::new().refused((broker.bootstrap_servers(), security));
    assert!(error.contains("[bus.kafka.security]"), "{error}");
}

#[test]
fn a_missing_and_an_expired_token_are_refused() {
    let secured = Secured::new();
    let file = secured.file("token");
    let listeners = TestBroker::shared_secured().secure();
    let error = secured.refused(listeners.with_token(&file));
    assert!(error.contains("cannot be read") && error.contains("token_file"), "{error}");
    write_token(&file, ADMIN, now_s() - 60);
    let error = secured.refused(listeners.with_token(&file));
    assert!(error.contains("expired") && error.contains("renewed"), "{error}");
}

#[test]
fn a_token_that_is_replaced_while_a_stage_runs_is_picked_up() {
    let secured = Secured::new();
    let file = secured.file("token");
    let expires_at_s = now_s() + 8;
    write_token(&file, ADMIN, expires_at_s);
    let to = TestBroker::shared_secured().secure().with_token(&file);
    let bus = secured.connect(to).expect("the token is right");
    make_topics(bus.as_ref());
    let mut source = bus.source("meter").expect("the source opens");
    write(source.as_mut(), inputs(0, 50));
    let stage = RunningStage::start(&bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 50));
    await_no_lag(bus.as_ref(), GROUP);
    write_token(&file, ADMIN, now_s() + 3600);
    until("the first token to be void", || (now_s() > expires_at_s + 1).then_some(()));
    until("the source to write", || source.append(inputs(50, 50), b"100").ok());
    until("the stage to be through", || {
        let lags = bus.lag(GROUP, INPUT).ok()?;
        lags.iter().all(|l| l.behind() == 0).then_some(())
    });
    stage.stop().expect("the stage stops");
    assert_exactly(bus.as_ref(), &inputs(0, 100));
}

#[test]
fn a_stage_whose_token_is_not_renewed_ends_and_says_why() {
    let secured = Secured::new();
    let file = secured.file("token");
    let expires_at_s = now_s() + 8;
    write_token(&file, ADMIN, expires_at_s);
    let to = TestBroker::shared_secured().secure().with_token(&file);
    let bus = secured.connect(to).expect("the token is right");
    make_topics(bus.as_ref());
    let stage = RunningStage::start(&bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 50));
    let error = stage.ended().expect_err("a stage without a login ends").to_string();
    assert!(error.contains("token"), "{error}");
}

/// A login over an open channel goes to a listener that has none: no password is sent.
#[test]
fn a_login_where_none_is_asked_for_is_refused() {
    let broker = TestBroker::shared_secured();
    let (_, Security { login, .. }) = broker.secure().with_password(PasswordMechanism::Plain, ADMIN_PASSWORD);
    assert!(matches!(login, Login::Password { .. }));
    let error = Secured::new().refused((broker.bootstrap_servers(), Security { channel: Channel::Plaintext, login }));
    assert!(error.contains("[bus.kafka.security]"), "{error}");
}
