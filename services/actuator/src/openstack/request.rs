//! The requests that change something at Nova. Pure.

use super::group::Template;
use super::server::{ACTION, Flavor, RESIZE, ResizeMark, Server, WORKLOAD, ZONE};
use crate::drive::order::Order;
use crate::drive::step::{Method, Request};
use serde_json::{Value, json};

const JSON: &str = "application/json";
/// So much of an action's id is in the names of its servers.
const ID_CHARS: usize = 8;

/// Makes so many servers, all or none.
pub(super) fn make(order: &Order, (zone, count): (Option<&str>, u32), flavor: &Flavor, template: &Template) -> Request {
    let mut metadata = json!({ WORKLOAD: order.workload().as_str(), ACTION: &**order.id() });
    let id: String = order.id().chars().take(ID_CHARS).collect();
    let mut server = json!({
        "name": format!("{}-{id}", name(order.workload().as_str())),
        "flavorRef": flavor.id,
        // With the least number below the most, Nova would make fewer where the quota is short, and not say so.
        "min_count": count,
        "max_count": count,
    });
    if let Some(zone) = zone {
        server["availability_zone"] = zone.into();
        metadata[ZONE] = zone.into();
    }
    server["metadata"] = metadata;
    post("/servers".to_owned(), template.body(server))
}

/// Marks a server, so that it can be told afterwards whose resize it was.
pub(super) fn mark(server: &Server, mark: &ResizeMark) -> Request {
    post(format!("/servers/{}/metadata", server.id), json!({ "metadata": { RESIZE: mark.written() } }))
}

/// Resizes a server.
pub(super) fn resize(server: &Server, flavor: &Flavor) -> Request {
    act(&server.id, json!({ "resize": { "flavorRef": flavor.id } }))
}

/// Keeps a resize.
pub(super) fn confirm(server: &str) -> Request {
    act(server, json!({ "confirmResize": null }))
}

/// Takes a resize back.
pub(super) fn revert(server: &str) -> Request {
    act(server, json!({ "revertResize": null }))
}

/// Starts a server again that is in ERROR.
pub(super) fn revive(server: &str) -> Request {
    act(server, json!({ "reboot": { "type": "HARD" } }))
}

/// Removes a server.
pub(super) fn remove(server: &str) -> Request {
    Request { method: Method::Delete, path: format!("/servers/{server}"), content_type: JSON, body: Value::Null }
}

fn act(server: &str, body: Value) -> Request {
    post(format!("/servers/{server}/action"), body)
}

fn post(path: String, body: Value) -> Request {
    Request { method: Method::Post, path, content_type: JSON, body }
}

/// Of what hosts' names may have.
fn name(workload: &str) -> String {
    workload.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::group::Group;
    use super::super::testing::{aim, facts, flavor, server};
    use super::*;

    #[test]
    fn new_servers_bear_their_workload_and_action_and_come_all_or_none() {
        let (order, facts) = (aim((1, "c1"), (3, "c1")).order, facts(vec![server("a", "c1")]));
        let template = Template::of(&Group::default(), &facts).unwrap();
        let request = make(&order, (Some("north"), 2), &flavor("c1", 1), &template);
        assert_eq!((request.method, request.path.as_str()), (Method::Post, "/servers"));
        let server = &request.body["server"];
        assert_eq!((&server["min_count"], &server["max_count"]), (&json!(2), &json!(2)));
        assert_eq!((&server["flavorRef"], &server["availability_zone"]), (&json!("id-c1"), &json!("north")));
        let metadata = json!({WORKLOAD: "shop/web", ACTION: &**order.id(), ZONE: "north"});
        assert_eq!(server["metadata"], metadata);
        assert!(server["name"].as_str().unwrap().starts_with("shop-web-"));
    }
}
