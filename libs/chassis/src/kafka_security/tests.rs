//! What the section may say, and how what it may not is refused.

use super::*;
use tempfile::TempDir;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn refused(config: &KafkaSecurityConfig) -> String {
    let error = config.security().err().map(|e| format!("{e:#}")).unwrap_or_default();
    assert!(error.starts_with(SECTION) && !error.contains("swordfish"), "{error:?}");
    error
}

fn scram() -> KafkaSecurityConfig {
    KafkaSecurityConfig {
        protocol: Protocol::SaslSsl,
        username: "planner".into(),
        password: Secret::new("swordfish"),
        ..Default::default()
    }
}

#[test]
fn nothing_given_is_nothing_secured() {
    assert_eq!(KafkaSecurityConfig::default().security().unwrap(), Security::default());
}

#[test]
fn a_password_comes_from_the_section_or_from_a_file() {
    let files = Files::new();
    let expected = Login::Password {
        mechanism: PasswordMechanism::ScramSha512,
        username: "planner".into(),
        password: BusSecret::new("swordfish"),
    };
    assert_eq!(scram().security().unwrap().login, expected);
    let password_file = files.put("password", "swordfish\n");
    let by_file = KafkaSecurityConfig { password: Secret::default(), password_file, ..scram() };
    assert_eq!(by_file.security().unwrap().login, expected);
}

#[test]
fn a_secret_is_not_given_twice_nor_left_out_nor_empty() {
    let files = Files::new();
    let password_file = files.put("password", "swordfish");
    assert!(refused(&KafkaSecurityConfig { password_file, ..scram() }).contains("both given"));
    let none = KafkaSecurityConfig { password: Secret::default(), ..scram() };
    assert!(refused(&none).contains("PRESCALE__BUS__KAFKA__SECURITY__PASSWORD"));
    let empty = KafkaSecurityConfig { password_file: files.put("empty", "\n"), ..none.clone() };
    assert!(refused(&empty).contains("is empty"));
    let absent = KafkaSecurityConfig { password_file: "/nonexistent/password".into(), ..none };
    assert!(refused(&absent).contains("/nonexistent/password cannot be read"));
    assert!(refused(&KafkaSecurityConfig { username: String::new(), ..scram() }).contains("username"));
}

#[test]
fn what_the_protocol_has_no_use_for_is_refused() {
    let plaintext = KafkaSecurityConfig { protocol: Protocol::Plaintext, ..scram() };
    assert!(refused(&plaintext).contains("username is for a login"));
    let ca = KafkaSecurityConfig { protocol: Protocol::SaslPlaintext, ca_file: "ca.pem".into(), ..scram() };
    assert!(refused(&ca).contains("ca_file is for TLS"));
    let token = KafkaSecurityConfig { token_file: "token".into(), ..scram() };
    assert!(refused(&token).contains("OAUTHBEARER"));
    let key_password =
        KafkaSecurityConfig { protocol: Protocol::Ssl, key_password: Secret::new("swordfish"), ..Default::default() };
    assert!(refused(&key_password).contains("key_password is of no use"));
}

#[test]
fn a_client_certificate_needs_its_key() {
    let files = Files::new();
    let (certificate_file, key_file) = (files.put("cert", "c"), files.put("key", "k"));
    let with = |certificate_file: &Path, key_file: &Path| KafkaSecurityConfig {
        protocol: Protocol::Ssl,
        certificate_file: certificate_file.to_owned(),
        key_file: key_file.to_owned(),
        key_password_file: files.put("password", "swordfish"),
        ..Default::default()
    };
    let identity = ClientIdentity {
        certificate_file: certificate_file.clone(),
        key_file: key_file.clone(),
        key_password: Some(BusSecret::new("swordfish")),
    };
    let channel = Channel::Tls(Tls { ca_file: None, identity: Some(identity) });
    assert_eq!(with(&certificate_file, &key_file).security().unwrap().channel, channel);
    assert!(refused(&with(&certificate_file, Path::new(""))).contains("needs key_file"));
    assert!(refused(&with(Path::new(""), &key_file)).contains("needs certificate_file"));
    assert!(refused(&with(&certificate_file, Path::new("/nonexistent"))).contains("/nonexistent cannot be read"));
}

#[test]
fn a_token_stands_alone() {
    let files = Files::new();
    let token = KafkaSecurityConfig {
        protocol: Protocol::SaslSsl,
        mechanism: Mechanism::Oauthbearer,
        token_file: files.put("token", "t"),
        ..Default::default()
    };
    assert_eq!(token.security().unwrap().login, Login::TokenFile(token.token_file.clone()));
    assert!(refused(&KafkaSecurityConfig { username: "me".into(), ..token.clone() }).contains("leave username"));
    assert!(refused(&KafkaSecurityConfig { token_file: PathBuf::new(), ..token }).contains("token_file is missing"));
}
