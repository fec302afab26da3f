//! Servers as Nova shows them, and what is written onto them. Pure.

use serde_json::Value;
use std::collections::BTreeMap;

/// Metadata of a server: the workload that it belongs to.
pub(super) const WORKLOAD: &str = "prescale.workload";
/// On a server that an action has made: the action's id.
pub(super) const ACTION: &str = "prescale.action";
/// On such a server: the zone that it was asked for in, where there are several.
pub(super) const ZONE: &str = "prescale.zone";
/// On a server that is being resized, or was: a [`ResizeMark`].
pub(super) const RESIZE: &str = "prescale.resize";

/// What Nova calls a resize on a server's record.
pub(super) const RESIZE_DEED: &str = "resize";

/// What Nova says a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Active,
    Build,
    Resize,
    VerifyResize,
    RevertResize,
    Error,
    /// It is gone, or is kept only so that it can be brought back.
    Deleted,
    /// Somebody has stopped, paused or shelved it, or does something else to it.
    Other,
}

/// A size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flavor {
    /// Id, by which requests name it; empty within a server, which shows none.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) vcpus: u64,
    pub(super) ram_mib: u64,
}

/// What a server is marked with before it is resized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResizeMark {
    /// Id of the action.
    pub(super) action: String,
    /// So many resizes were on its record then.
    pub(super) resizes: usize,
    /// Name of the flavor that it is to have.
    pub(super) flavor: String,
}

/// Something that was done to a server, by its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) name: String,
    /// Whether it has failed.
    pub(super) is_failed: bool,
    /// Whether it was us.
    pub(super) is_own: bool,
}

/// A server.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Server {
    pub(super) id: String,
    pub(super) status: Status,
    /// Whether something is under way that its status does not show.
    pub(super) is_busy: bool,
    pub(super) is_being_deleted: bool,
    /// Whether it has ever run.
    pub(super) was_launched: bool,
    pub(super) is_locked: bool,
    /// When it was made, as Nova writes it.
    pub(super) created: String,
    pub(super) workload: Option<String>,
    /// The action that has made it.
    pub(super) made_by: Option<String>,
    pub(super) mark: Option<ResizeMark>,
    pub(super) flavor: Flavor,
    /// Id of its image; empty where it boots from a volume.
    pub(super) image: String,
    pub(super) key_name: Option<String>,
    pub(super) security_groups: Vec<String>,
    pub(super) zone: String,
    /// Ids of the groups that Nova places it by.
    pub(super) server_groups: Vec<String>,
    /// Nova's words of what went wrong.
    pub(super) fault: Option<String>,
    /// What was done to it, the newest first; only of one that is marked.
    pub(super) record: Vec<Deed>,
}

impl Status {
    fn read(text: &str) -> Self {
        match text {
            "ACTIVE" => Self::Active,
            "BUILD" | "REBUILD" => Self::Build,
            "RESIZE" => Self::Resize,
            "VERIFY_RESIZE" => Self::VerifyResize,
            "REVERT_RESIZE" => Self::RevertResize,
            "ERROR" => Self::Error,
            "DELETED" | "SOFT_DELETED" => Self::Deleted,
            _ => Self::Other,
        }
    }
}

impl Flavor {
    /// One of the list of flavors, or as it stands in a server; `None` where it has no name.
    pub(super) fn read(flavor: &Value) -> Option<Self> {
        let name = flavor["original_name"].as_str().or_else(|| flavor["name"].as_str())?;
        Some(Self {
            id: text(&flavor["id"]),
            name: name.to_owned(),
            vcpus: flavor["vcpus"].as_u64().unwrap_or_default(),
            ram_mib: flavor["ram"].as_u64().unwrap_or_default(),
        })
    }
}

impl ResizeMark {
    /// As metadata has it.
    pub(super) fn written(&self) -> String {
        format!("{} {} {}", self.action, self.resizes, self.flavor)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let (action, resizes, flavor) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        Some(Self { action: action.to_owned(), resizes, flavor: flavor.to_owned() })
    }
}

impl Deed {
    /// What is on a server's record (`instanceActions`), where we are the user of that id.
    pub(super) fn read_all(body: &Value, user: &str) -> Vec<Self> {
        let one = |action: &Value| Self {
            name: text(&action["action"]),
            is_failed: action["message"].as_str().is_some_and(|message| message.contains("Error")),
            is_own: action["user_id"] == user,
        };
        body["instanceActions"].as_array().into_iter().flatten().map(one).collect()
    }
}

impl Server {
    /// As it stands in a list, without its record.
    ///
    /// # Errors
    /// With what it lacks.
    pub(super) fn read(server: &Value) -> Result<Self, String> {
        let id = server["id"].as_str().ok_or("a server has no id")?.to_owned();
        let task = server["OS-EXT-STS:task_state"].as_str();
        let metadata: BTreeMap<&str, &str> = server["metadata"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect();
        let said = |key: &str| metadata.get(key).map(|value| (*value).to_owned());
        let groups = server["security_groups"].as_array().into_iter().flatten();
        let server_groups = server["server_groups"].as_array().into_iter().flatten();
        let shown_zone = || text(&server["OS-EXT-AZ:availability_zone"]);
        Ok(Self {
            status: Status::read(server["status"].as_str().unwrap_or_default()),
            is_busy: task.is_some(),
            is_being_deleted: task.is_some_and(|task| task.ends_with("deleting")),
            was_launched: server["OS-SRV-USG:launched_at"].is_string(),
            is_locked: server["locked"].as_bool().unwrap_or_default(),
            created: text(&server["created"]),
            workload: said(WORKLOAD),
            made_by: said(ACTION),
            mark: said(RESIZE).and_then(|mark| ResizeMark::read(&mark)),
            flavor: Flavor::read(&server["flavor"]).ok_or_else(|| format!("server {id} shows no flavor"))?,
            image: text(&server["image"]["id"]),
            key_name: server["key_name"].as_str().map(str::to_owned),
            security_groups: groups.map(|group| text(&group["name"])).collect(),
            zone: said(ZONE).unwrap_or_else(shown_zone),
            server_groups: server_groups.map(text).collect(),
            fault: server["fault"]["message"].as_str().map(str::to_owned),
            record: Vec::new(),
            id,
        })
    }

    /// Whether it counts as capacity, now or soon.
    pub(super) fn is_member(&self) -> bool {
        !self.is_being_deleted && !matches!(self.status, Status::Error | Status::Deleted)
    }

    /// Whether it runs, and nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.status == Status::Active && !self.is_busy
    }

    pub(super) fn was_made_by(&self, action: &str) -> bool {
        self.made_by.as_deref() == Some(action)
    }

    /// So many resizes are on its record.
    pub(super) fn resizes(&self) -> usize {
        self.record.iter().filter(|deed| deed.name == RESIZE_DEED).count()
    }

    /// Whether a resize of ours waits for its confirmation, and not one of somebody else.
    pub(super) fn waits_for_us(&self) -> bool {
        let last = self.record.iter().find(|deed| deed.name == RESIZE_DEED);
        self.status == Status::VerifyResize && self.mark.is_some() && last.is_some_and(|deed| deed.is_own)
    }

    /// Whether a resize of ours has put it into ERROR, and nothing was done about it since.
    pub(super) fn was_broken_by_us(&self) -> bool {
        let is_ours = |deed: &Deed| deed.name == RESIZE_DEED && deed.is_own;
        self.status == Status::Error && !self.is_busy && self.mark.is_some() && self.record.first().is_some_and(is_ours)
    }

    /// Whether the resize that it is marked for has begun; it may be over.
    pub(super) fn has_begun(&self, mark: &ResizeMark) -> bool {
        self.resizes() > mark.resizes
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_server_is_read_as_nova_shows_it() {
        let mark = ResizeMark { action: "a1".to_owned(), resizes: 2, flavor: "m1 large".to_owned() };
        let shown = json!({
            "id": "s-1", "status": "VERIFY_RESIZE", "OS-EXT-STS:task_state": null, "created": "2026-01-01T00:00:00Z",
            "OS-SRV-USG:launched_at": "2026-01-01T00:00:09.000000", "OS-EXT-AZ:availability_zone": "north", "locked": false,
            "metadata": {WORKLOAD: "shop/web", ACTION: "a0", RESIZE: mark.written()},
            "flavor": {"original_name": "m1 large", "vcpus": 4, "ram": 4096, "disk": 1},
            "image": {"id": "i-1"}, "key_name": "ops", "security_groups": [{"name": "web"}], "server_groups": ["g-1"],
        });
        let server = Server::read(&shown).unwrap();
        assert_eq!((server.status, server.is_busy, server.was_launched), (Status::VerifyResize, false, true));
        assert_eq!((server.workload.as_deref(), server.made_by.as_deref()), (Some("shop/web"), Some("a0")));
        assert_eq!((server.mark.as_ref(), server.zone.as_str(), server.flavor.vcpus), (Some(&mark), "north", 4));
        assert!(!server.has_begun(&mark) && server.is_member() && !server.is_settled());
        let volume = json!({
            "id": "s", "status": "ERROR", "image": "", "flavor": {"original_name": "c1"}, "fault": {"message": "no room"},
        });
        let broken = Server::read(&volume).unwrap();
        assert_eq!((broken.image.as_str(), broken.fault.as_deref(), broken.is_member()), ("", Some("no room"), false));
        assert!(Server::read(&json!({"id": "s"})).is_err());
    }

    #[test]
    fn its_record_tells_whether_a_resize_has_begun() {
        let shown = json!({"instanceActions": [
            {"action": "resize", "message": "Error", "user_id": "u-1"},
            {"action": "create", "message": null, "user_id": "u-2"},
        ]});
        let record = Deed::read_all(&shown, "u-1");
        assert_eq!((record[0].is_failed, record[0].is_own), (true, true));
        assert_eq!((record[1].is_failed, record[1].is_own), (false, false));
        let mut server = Server::read(&json!({"id": "s", "flavor": {"name": "c1"}})).unwrap();
        server.record = record;
        let mark = |resizes| ResizeMark { action: String::new(), resizes, flavor: String::new() };
        assert!(server.has_begun(&mark(0)) && !server.has_begun(&mark(1)));
    }
}
