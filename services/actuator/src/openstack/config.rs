//! Section `[actuator.openstack]`.

use super::windows::Windows;
use anyhow::{Context as _, Result, ensure};
use prescale_openstack::clouds::Cloud;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CALLS_IN_FLIGHT_MAX: usize = 1_000;
const CALL_DEADLINE_S_MAX: u32 = 300;
/// Below what the account of the actuator's results waits for.
const SETTLE_S_MAX: u32 = 6 * 3600;
/// Nova takes no more.
const USER_DATA_BYTES_MAX: usize = 65_535 / 4 * 3;

/// Section `[actuator.openstack]`: how OpenStack is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenStackConfig {
    /// Whether actions on OpenStack are carried out.
    pub enabled: bool,
    /// File with the clouds and the credentials (`clouds.yaml`). Empty for the one that OpenStack's tools would take.
    pub clouds_file: PathBuf,
    /// Name of the cloud in it; empty for that of `OS_CLOUD`, or the only one there is.
    pub cloud: String,
    /// What is done where an action asks for another flavor.
    pub resize: ResizeMode,
    /// When servers may be resized, such as `["22:00-04:00"]`, in UTC; empty for any time. There is no resize without a
    /// restart of the guest.
    pub resize_windows_utc: Vec<String>,
    /// Most calls under way at a time.
    pub calls_in_flight_max: usize,
    /// Most calls a second; a look at a workload counts as one, whatever has to be asked for.
    pub calls_per_s_max: f64,
    /// A call that takes longer is given up, and what came of it is looked at, in seconds.
    pub call_deadline_s: u32,
    /// What the cloud has taken is in effect within so many seconds, or has failed.
    pub settle_s: u32,
    /// Sections `[actuator.openstack.groups.NAME]`, by workload: what its new servers are made from.
    pub groups: BTreeMap<String, GroupConfig>,
}

/// What is done where an action asks for another flavor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMode {
    /// Nothing: the action fails.
    #[default]
    Refuse,
    /// Servers are resized one after the other; each restarts.
    Restart,
    /// Servers of that flavor are added, and the others removed once they run.
    Replace,
}

/// Section `[actuator.openstack.groups.NAME]`: what new servers of a workload are made from. What is left out is taken from
/// the oldest server that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupConfig {
    /// Id of the image.
    pub image: String,
    /// Name of the flavor, where an action names none.
    pub flavor: String,
    /// Ids of the networks, or `auto` or `none` alone.
    pub networks: Vec<String>,
    /// Names of the security groups.
    pub security_groups: Vec<String>,
    /// Name of the key pair.
    pub key_name: String,
    /// File with what cloud-init is to do (user data). Nova does not show that of another server.
    pub user_data_file: PathBuf,
    /// Zones that servers are spread over; empty for Nova's choice.
    pub zones: Vec<String>,
    /// Id of the server group by whose policy Nova places them.
    pub server_group: String,
}

impl Default for OpenStackConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            clouds_file: PathBuf::new(),
            cloud: String::new(),
            resize: ResizeMode::default(),
            resize_windows_utc: Vec::new(),
            calls_in_flight_max: 8,
            calls_per_s_max: 5.0,
            call_deadline_s: 60,
            settle_s: 1800,
            groups: BTreeMap::new(),
        }
    }
}

impl OpenStackConfig {
    /// Checks the values, and what they name on this machine.
    ///
    /// # Errors
    /// With the key that is out of range, or the file that cannot be used.
    pub fn check(&self) -> Result<()> {
        let Self { calls_in_flight_max, calls_per_s_max, call_deadline_s, settle_s, .. } = self;
        ensure!(
            (1..=CALLS_IN_FLIGHT_MAX).contains(calls_in_flight_max),
            "[actuator.openstack] calls_in_flight_max = {calls_in_flight_max}: give 1 to {CALLS_IN_FLIGHT_MAX}"
        );
        ensure!(
            calls_per_s_max.is_finite() && *calls_per_s_max >= 0.1,
            "[actuator.openstack] calls_per_s_max = {calls_per_s_max}: give 0.1 or more"
        );
        ensure!(
            (1..=CALL_DEADLINE_S_MAX).contains(call_deadline_s),
            "[actuator.openstack] call_deadline_s = {call_deadline_s}: give 1 to {CALL_DEADLINE_S_MAX}"
        );
        ensure!(
            (1..=SETTLE_S_MAX).contains(settle_s),
            "[actuator.openstack] settle_s = {settle_s}: give 1 to {SETTLE_S_MAX}"
        );
        self.windows()?;
        for (workload, group) in &self.groups {
            group.check(workload)?;
        }
        if self.enabled {
            self.cloud()?;
        }
        Ok(())
    }

    /// When servers may be resized.
    ///
    /// # Errors
    /// With the window that is none.
    pub(super) fn windows(&self) -> Result<Windows> {
        Windows::read(&self.resize_windows_utc).context("[actuator.openstack] resize_windows_utc")
    }

    /// The cloud, and who one is there.
    ///
    /// # Errors
    /// When there is no such cloud in the file.
    pub(super) fn cloud(&self) -> Result<Cloud> {
        Cloud::find(&self.clouds_file, &self.cloud).context("[actuator.openstack] clouds_file and cloud")
    }
}

impl GroupConfig {
    fn check(&self, workload: &str) -> Result<()> {
        let section = format!("[actuator.openstack.groups.{workload:?}]");
        let is_alone = |word: &str| self.networks.len() > 1 && self.networks.iter().any(|network| network == word);
        ensure!(!is_alone("auto") && !is_alone("none"), "{section} networks: give \"auto\" or \"none\" alone");
        self.user_data().map(drop).context(section)
    }

    /// What cloud-init is to do; `None` where nothing is said.
    ///
    /// # Errors
    /// When the file cannot be read, or is too large.
    pub(super) fn user_data(&self) -> Result<Option<Vec<u8>>> {
        let file: &Path = &self.user_data_file;
        if file.as_os_str().is_empty() {
            return Ok(None);
        }
        let data = std::fs::read(file).with_context(|| format!("user_data_file: cannot read {}", file.display()))?;
        ensure!(
            data.len() <= USER_DATA_BYTES_MAX,
            "user_data_file: {} has {} bytes, Nova takes {USER_DATA_BYTES_MAX}",
            file.display(),
            data.len()
        );
        Ok(Some(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_chassis::read_strictly;

    #[test]
    fn what_is_written_is_read_again_and_what_is_wrong_names_its_key() {
        let text =
            "resize = \"restart\"\nresize_windows_utc = [\"22:00-04:00\"]\n[groups.\"shop/web\"]\nzones = [\"a\"]\n";
        let read: OpenStackConfig = read_strictly(&text.parse().unwrap()).unwrap();
        read.check().unwrap();
        assert_eq!(
            (read.resize, read.groups["shop/web"].zones.as_slice()),
            (ResizeMode::Restart, &["a".to_owned()][..])
        );
        assert_eq!(toml::from_str::<OpenStackConfig>(&toml::to_string(&read).unwrap()).unwrap(), read);
        let refused = |text: &str| {
            let config: OpenStackConfig = read_strictly(&text.parse().unwrap()).unwrap();
            format!("{:#}", config.check().unwrap_err())
        };
        for (text, key) in [
            ("calls_in_flight_max = 0", "calls_in_flight_max = 0"),
            ("calls_per_s_max = 0.0", "calls_per_s_max = 0"),
            ("call_deadline_s = 0", "call_deadline_s = 0"),
            ("settle_s = 1000000", "settle_s = 1000000"),
            ("resize_windows_utc = [\"22-4\"]", "resize_windows_utc"),
            ("enabled = true\nclouds_file = \"/nowhere\"", "/nowhere"),
            ("[groups.web]\nnetworks = [\"auto\", \"n-1\"]", "networks"),
            ("[groups.web]\nuser_data_file = \"/nowhere\"", "user_data_file"),
        ] {
            assert!(refused(text).contains(key), "{text}: {}", refused(text));
        }
    }
}
