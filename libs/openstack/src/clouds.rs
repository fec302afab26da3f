//! Clouds as `clouds.yaml` has them: the form that OpenStack's own tools read.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Its name, in the folders where it is looked for.
const FILE: &str = "clouds.yaml";
/// What has the same form and is laid over it: passwords may be kept apart.
const SECURE_FILE: &str = "secure.yaml";

/// A cloud, and who one is there.
#[derive(Clone, Deserialize)]
#[serde(default)]
pub struct Cloud {
    auth: Auth,
    auth_type: String,
    region_name: String,
    interface: String,
    cacert: PathBuf,
    verify: Option<bool>,
    compute_endpoint_override: String,
    profile: Option<String>,
    cloud: Option<String>,
}

/// Keys of `auth`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth_url: String,
    username: String,
    user_id: String,
    password: String,
    user_domain_name: String,
    user_domain_id: String,
    project_name: String,
    project_id: String,
    project_domain_name: String,
    project_domain_id: String,
    domain_name: String,
    domain_id: String,
    application_credential_id: String,
    application_credential_name: String,
    application_credential_secret: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    clouds: BTreeMap<String, Cloud>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SecureFile {
    clouds: BTreeMap<String, SecureCloud>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SecureCloud {
    auth: SecureAuth,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SecureAuth {
    password: String,
    application_credential_secret: String,
}

impl Default for Cloud {
    fn default() -> Self {
        Self {
            auth: Auth::default(),
            auth_type: "password".to_owned(),
            region_name: String::new(),
            interface: "public".to_owned(),
            cacert: PathBuf::new(),
            verify: None,
            compute_endpoint_override: String::new(),
            profile: None,
            cloud: None,
        }
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("auth_url", &self.auth.auth_url).finish_non_exhaustive()
    }
}

impl Cloud {
    /// The cloud of that name in a file; the only one of the file where the name is empty. Where no file is named: that of
    /// `OS_CLIENT_CONFIG_FILE`, else the first there is of `clouds.yaml` here, in `~/.config/openstack` and in
    /// `/etc/openstack`, and the name may be that of `OS_CLOUD`.
    ///
    /// # Errors
    /// When there is no file, it cannot be read, or has no such cloud.
    pub fn find(file: &Path, name: &str) -> Result<Self> {
        let environment = |key: &str| std::env::var(key).unwrap_or_default();
        let file = if file.as_os_str().is_empty() { usual_file(&environment)? } else { file.to_owned() };
        let name = if name.is_empty() { environment("OS_CLOUD") } else { name.to_owned() };
        Self::read(&file, &name)
    }

    fn read(file: &Path, name: &str) -> Result<Self> {
        let shown = file.display();
        let File { mut clouds } = read(file)?;
        let name = match (name.is_empty(), clouds.len()) {
            (true, 1) => clouds.keys().next().cloned().unwrap_or_default(),
            (true, _) => bail!("{shown} has several clouds: name one of {}", names(&clouds)),
            (false, _) => name.to_owned(),
        };
        let Some(mut cloud) = clouds.remove(&name) else {
            bail!("{shown} has no cloud {name:?}, but {}", names(&clouds));
        };
        let secure = file.with_file_name(SECURE_FILE);
        if secure.exists() {
            let mut kept: SecureFile = read(&secure)?;
            if let Some(SecureCloud { auth }) = kept.clouds.remove(&name) {
                put(&mut cloud.auth.password, auth.password);
                put(&mut cloud.auth.application_credential_secret, auth.application_credential_secret);
            }
        }
        cloud.check().with_context(|| format!("cloud {name:?} of {shown}"))?;
        Ok(cloud)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.profile.is_none() && self.cloud.is_none(),
            "a vendor's profile is not read: write its auth_url into the file"
        );
        let url = &self.auth.auth_url;
        ensure!(url.starts_with("http://") || url.starts_with("https://"), "auth.auth_url is missing, or no URL");
        self.login().map(drop)
    }

    /// Where Keystone is, with its version and no slash at the end.
    pub(crate) fn keystone_url(&self) -> String {
        let url = self.auth.auth_url.trim_end_matches('/');
        if url.ends_with("/v3") { url.to_owned() } else { format!("{url}/v3") }
    }

    /// The region whose endpoints count; empty for any.
    pub(crate) fn region(&self) -> &str {
        &self.region_name
    }

    /// Which endpoints count, such as `public`.
    pub(crate) fn interface(&self) -> &str {
        self.interface.trim_end_matches("URL")
    }

    /// Where Nova is taken to be, whatever the catalogue says; empty for what it says.
    pub(crate) fn compute_url(&self) -> &str {
        &self.compute_endpoint_override
    }

    /// Certificates (PEM) that servers' are checked against; empty for Mozilla's roots.
    pub(crate) fn ca_file(&self) -> &Path {
        &self.cacert
    }

    /// Whether servers' certificates are checked.
    pub(crate) fn verifies(&self) -> bool {
        self.verify.unwrap_or(true)
    }

    /// The body by which Keystone gives a token.
    ///
    /// # Errors
    /// When the credentials are not whole, or of a kind that is not known here.
    pub(crate) fn login(&self) -> Result<Value> {
        let auth = &self.auth;
        match self.auth_type.trim_start_matches("v3") {
            "password" => {
                ensure!(!auth.password.is_empty(), "auth.password is missing");
                let mut user = auth.user().context("auth.username is missing")?;
                user["password"] = auth.password.as_str().into();
                let identity = json!({ "methods": ["password"], "password": { "user": user } });
                let project = auth.project().context("auth.project_name is missing")?;
                Ok(json!({ "auth": { "identity": identity, "scope": { "project": project } } }))
            }
            "applicationcredential" => {
                ensure!(
                    !auth.application_credential_secret.is_empty(),
                    "auth.application_credential_secret is missing"
                );
                let mut credential = if auth.application_credential_id.is_empty() {
                    let name = auth.application_credential_name.as_str();
                    let user = auth.user().filter(|_| !name.is_empty());
                    json!({ "name": name, "user": user.context("auth.application_credential_id is missing")? })
                } else {
                    json!({ "id": auth.application_credential_id })
                };
                credential["secret"] = auth.application_credential_secret.as_str().into();
                let methods = ["application_credential"];
                Ok(json!({ "auth": { "identity": { "methods": methods, "application_credential": credential } } }))
            }
            other => bail!("auth_type {other:?} is not known here: use password or v3applicationcredential"),
        }
    }
}

impl Auth {
    fn user(&self) -> Option<Value> {
        self.thing(&self.user_id, &self.username, [&self.user_domain_id, &self.user_domain_name])
    }

    fn project(&self) -> Option<Value> {
        self.thing(&self.project_id, &self.project_name, [&self.project_domain_id, &self.project_domain_name])
    }

    /// What Keystone knows by its id, or by its name and its domain's id or name; `None` where neither is given.
    fn thing(&self, id: &str, name: &str, [domain_id, domain_name]: [&str; 2]) -> Option<Value> {
        if !id.is_empty() {
            return Some(json!({ "id": id }));
        }
        let given =
            |own: &str, general: &str| [own, general].into_iter().find(|text| !text.is_empty()).map(str::to_owned);
        let domain = match (given(domain_id, &self.domain_id), given(domain_name, &self.domain_name)) {
            (Some(id), _) => json!({ "id": id }),
            (None, Some(name)) => json!({ "name": name }),
            (None, None) => json!({ "id": "default" }),
        };
        (!name.is_empty()).then(|| json!({ "name": name, "domain": domain }))
    }
}

fn put(into: &mut String, text: String) {
    if !text.is_empty() {
        *into = text;
    }
}

fn names(clouds: &BTreeMap<String, Cloud>) -> String {
    clouds.keys().cloned().collect::<Vec<_>>().join(", ")
}

fn read<T: for<'a> Deserialize<'a>>(file: &Path) -> Result<T> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // Its own words would show the line, and with it perhaps a password.
    let read = serde_saphyr::from_str(&text).ok();
    read.with_context(|| format!("{} is no {FILE}: see openstacksdk's documentation", file.display()))
}

fn usual_file(environment: &dyn Fn(&str) -> String) -> Result<PathBuf> {
    let named = environment("OS_CLIENT_CONFIG_FILE");
    if !named.is_empty() {
        return Ok(named.into());
    }
    let home = environment("HOME");
    let folders = [PathBuf::from("."), Path::new(&home).join(".config/openstack"), PathBuf::from("/etc/openstack")];
    let found = folders.iter().map(|folder| folder.join(FILE)).find(|file| file.exists());
    found.with_context(|| format!("there is no {FILE} here, in ~/.config/openstack or in /etc/openstack"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const CLOUDS: &str = "\
clouds:
  shop:
    auth:
      auth_url: https://keystone.example:5000
      username: prescale
      password: 007
      project_name: shop
      project_domain_name: Shops
      user_domain_name: Users
    region_name: north
    interface: internalURL
  app:
    auth_type: v3applicationcredential
    auth: {auth_url: 'http://127.0.0.1/v3/', application_credential_id: abc}
";

    fn cloud(name: &str, secure: Option<&str>) -> Result<Cloud> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        fs::write(&file, CLOUDS).unwrap();
        if let Some(secure) = secure {
            fs::write(folder.path().join(SECURE_FILE), secure).unwrap();
        }
        Cloud::find(&file, name)
    }

    #[test]
    fn a_cloud_is_read_as_openstacks_tools_read_it() {
        let shop = cloud("shop", None).unwrap();
        assert_eq!(shop.keystone_url(), "https://keystone.example:5000/v3");
        assert_eq!((shop.region(), shop.interface(), shop.verifies()), ("north", "internal", true));
        let login = shop.login().unwrap();
        let user = &login["auth"]["identity"]["password"]["user"];
        assert_eq!(*user, json!({"name": "prescale", "domain": {"name": "Users"}, "password": "007"}));
        let project = &login["auth"]["scope"]["project"];
        assert_eq!(*project, json!({"name": "shop", "domain": {"name": "Shops"}}));
        assert!(!format!("{shop:?}").contains("007"));
    }

    #[test]
    fn secrets_may_lie_in_a_file_of_their_own() {
        let secure = "clouds: {app: {auth: {application_credential_secret: swordfish}}}";
        let app = cloud("app", Some(secure)).unwrap();
        assert_eq!(app.keystone_url(), "http://127.0.0.1/v3");
        let login = app.login().unwrap();
        let credential = json!({"id": "abc", "secret": "swordfish"});
        assert_eq!(login["auth"]["identity"]["application_credential"], credential);
        assert_eq!(login["auth"]["scope"], Value::Null, "the credential has its project");
    }

    #[test]
    fn what_is_missing_is_told() {
        let refused = |name: &str| format!("{:#}", cloud(name, None).unwrap_err());
        assert!(refused("app").contains("application_credential_secret is missing"));
        assert!(refused("other").contains("no cloud \"other\", but app, shop"));
        let none = |_: &str| "/nowhere".to_owned();
        assert_eq!(usual_file(&none).unwrap(), PathBuf::from("/nowhere"));
        assert!(Cloud::find(Path::new("/nowhere/clouds.yaml"), "").unwrap_err().to_string().contains("/nowhere"));
    }
}
