//! The servers of a workload, and what new ones of it are made from. Pure.

use super::config::GroupConfig;
use super::server::{Flavor, Server};
use serde_json::{Value, json};

/// What the cloud shows of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    /// Its servers, the oldest first.
    pub(super) servers: Vec<Server>,
    /// The cloud's flavors, where any may be asked for.
    pub(super) flavors: Vec<Flavor>,
    /// What the project may still have, where more may be asked for.
    pub(super) room: Room,
    /// Ids of the networks of the oldest server that runs, where they are needed.
    pub(super) networks: Vec<String>,
}

/// What a project may still have, each where it is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) servers: Option<i64>,
    pub(super) vcpus: Option<i64>,
    pub(super) ram_mib: Option<i64>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) servers: i64,
    pub(super) vcpus: i64,
    pub(super) ram_mib: i64,
}

/// A group, as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) config: GroupConfig,
    /// In base64.
    pub(super) user_data: Option<String>,
}

/// What new servers are made from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    image: String,
    networks: Value,
    security_groups: Vec<String>,
    key_name: Option<String>,
    user_data: Option<String>,
    server_group: Option<String>,
}

impl Facts {
    /// The servers that count as capacity.
    pub(super) fn members(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.is_member())
    }

    /// The oldest server that runs: new ones are made like it.
    pub(super) fn pattern(&self) -> Option<&Server> {
        self.servers.iter().find(|server| server.is_settled())
    }

    /// The flavor of that name.
    pub(super) fn flavor(&self, name: &str) -> Option<&Flavor> {
        self.flavors.iter().find(|flavor| flavor.name == name)
    }
}

impl Room {
    /// Of a project's limits (`GET /limits`).
    pub(super) fn read(body: &Value) -> Self {
        let limits = &body["limits"]["absolute"];
        let left = |max: &str, used: &str| {
            let max = limits[max].as_i64().filter(|max| *max >= 0)?;
            Some(max - limits[used].as_i64().unwrap_or_default())
        };
        Self {
            servers: left("maxTotalInstances", "totalInstancesUsed"),
            vcpus: left("maxTotalCores", "totalCoresUsed"),
            ram_mib: left("maxTotalRAMSize", "totalRAMUsed"),
        }
    }

    /// What is left beside this.
    pub(super) fn without(self, demand: Demand) -> Self {
        let less = |left: Option<i64>, by: i64| left.map(|left| left - by.max(0));
        Self {
            servers: less(self.servers, demand.servers),
            vcpus: less(self.vcpus, demand.vcpus),
            ram_mib: less(self.ram_mib, demand.ram_mib),
        }
    }

    /// What there is too little of, if of anything.
    pub(super) fn lacks(self, demand: Demand) -> Option<String> {
        let kinds = [
            ("servers", self.servers, demand.servers),
            ("vCPUs", self.vcpus, demand.vcpus),
            ("MiB of memory", self.ram_mib, demand.ram_mib),
        ];
        kinds.into_iter().find_map(|(what, left, wanted)| {
            let left = left.filter(|left| wanted > 0 && wanted > *left)?;
            Some(format!("the project's quota leaves {} {what}, and {wanted} more are needed", left.max(0)))
        })
    }
}

impl Demand {
    /// So many new servers.
    pub(super) fn of(servers: u32, flavor: &Flavor) -> Self {
        let times = |amount: u64| i64::from(servers).saturating_mul(whole(amount));
        Self { servers: i64::from(servers), vcpus: times(flavor.vcpus), ram_mib: times(flavor.ram_mib) }
    }

    /// What a server of one flavor takes more when it has another.
    pub(super) fn of_resize(from: &Flavor, to: &Flavor) -> Self {
        let more = |from: u64, to: u64| whole(to) - whole(from);
        Self { servers: 0, vcpus: more(from.vcpus, to.vcpus), ram_mib: more(from.ram_mib, to.ram_mib) }
    }

    /// Both, without what either gives back.
    pub(super) fn and(self, other: Self) -> Self {
        let sum = |a: i64, b: i64| a.max(0) + b.max(0);
        Self {
            servers: sum(self.servers, other.servers),
            vcpus: sum(self.vcpus, other.vcpus),
            ram_mib: sum(self.ram_mib, other.ram_mib),
        }
    }
}

fn whole(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX / 2)
}

impl Template {
    /// By a group's configuration, and what that leaves out by the oldest server that runs.
    ///
    /// # Errors
    /// With what is said nowhere.
    pub(super) fn of(group: &Group, facts: &Facts) -> Result<Self, String> {
        let (config, pattern) = (&group.config, facts.pattern());
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let image = said(&config.image).or_else(|| said(&pattern?.image)).ok_or(
            "no server of it runs from an image that new ones could have: set [actuator.openstack.groups] image",
        )?;
        let networks = match config.networks.as_slice() {
            [word] if word == "auto" || word == "none" => json!(word),
            [] if facts.networks.is_empty() => json!("none"),
            [] => on(&facts.networks),
            ids => on(ids),
        };
        let security_groups = match config.security_groups.as_slice() {
            _ if networks == "none" => Vec::new(),
            [] => pattern.map(|server| server.security_groups.clone()).unwrap_or_default(),
            names => names.to_vec(),
        };
        Ok(Self {
            image,
            networks,
            security_groups,
            key_name: said(&config.key_name).or_else(|| pattern?.key_name.clone()),
            user_data: group.user_data.clone(),
            server_group: said(&config.server_group).or_else(|| pattern?.server_groups.first().cloned()),
        })
    }

    /// The body that makes servers of it, but for what is theirs.
    pub(super) fn body(&self, mut server: Value) -> Value {
        server["imageRef"] = self.image.as_str().into();
        server["networks"] = self.networks.clone();
        if !self.security_groups.is_empty() {
            server["security_groups"] = self.security_groups.iter().map(|name| json!({ "name": name })).collect();
        }
        if let Some(key_name) = &self.key_name {
            server["key_name"] = key_name.as_str().into();
        }
        if let Some(user_data) = &self.user_data {
            server["user_data"] = user_data.as_str().into();
        }
        let mut body = json!({ "server": server });
        if let Some(group) = &self.server_group {
            body["os:scheduler_hints"] = json!({ "group": group });
        }
        body
    }
}

fn on(networks: &[String]) -> Value {
    networks.iter().map(|id| json!({ "uuid": id })).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, flavor, server};
    use super::*;

    #[test]
    fn what_a_quota_leaves_is_told() {
        let limits = json!({"limits": {"absolute": {
            "maxTotalInstances": 10, "totalInstancesUsed": 9, "maxTotalCores": 20, "totalCoresUsed": 12, "maxTotalRAMSize": -1,
        }}});
        let room = Room::read(&limits);
        assert_eq!(room, Room { servers: Some(1), vcpus: Some(8), ram_mib: None });
        assert_eq!(room.lacks(Demand::of(1, &flavor("c8", 8))), None);
        assert!(room.lacks(Demand::of(2, &flavor("c1", 1))).unwrap().contains("leaves 1 servers, and 2 more"));
        assert!(room.lacks(Demand::of(1, &flavor("c9", 9))).unwrap().contains("leaves 8 vCPUs"));
        let resize = Demand::of_resize(&flavor("c1", 1), &flavor("c4", 4));
        assert_eq!((resize.vcpus, room.without(resize).vcpus), (3, Some(5)));
        let smaller = Demand::of_resize(&flavor("c4", 4), &flavor("c1", 1));
        assert_eq!((room.without(smaller), room.lacks(smaller)), (room, None), "it gives back when it is confirmed");
        assert_eq!(resize.and(smaller), Demand { vcpus: 3, ..resize });
    }

    #[test]
    fn new_servers_are_like_the_oldest_that_runs_but_for_what_is_configured() {
        let mut facts = facts(vec![server("a", "c1")]);
        facts.networks = vec!["n-1".to_owned()];
        facts.servers[0].key_name = Some("ops".to_owned());
        facts.servers[0].security_groups = vec!["web".to_owned()];
        let body = Template::of(&Group::default(), &facts).unwrap().body(json!({"name": "x"}));
        let expected = json!({"server": {
            "name": "x", "imageRef": "i-1", "networks": [{"uuid": "n-1"}], "key_name": "ops",
            "security_groups": [{"name": "web"}],
        }});
        assert_eq!(body, expected);
        let config = GroupConfig {
            image: "i-2".to_owned(),
            networks: vec!["none".to_owned()],
            server_group: "g-1".to_owned(),
            ..GroupConfig::default()
        };
        let group = Group { config, user_data: Some("aGk=".to_owned()) };
        let body = Template::of(&group, &facts).unwrap().body(json!({}));
        let expected = json!({
            "server": {"imageRef": "i-2", "networks": "none", "key_name": "ops", "user_data": "aGk="},
            "os:scheduler_hints": {"group": "g-1"},
        });
        assert_eq!(body, expected);
        facts.servers.clear();
        assert!(Template::of(&Group::default(), &facts).unwrap_err().contains("image"));
        assert!(Template::of(&group, &facts).is_ok(), "a configured group may begin with nothing");
    }
}
