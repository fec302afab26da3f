//! Who may call the cluster, by its lease object. Pure.
//!
//! A lease is held until nobody has renewed it for its duration, as the one who waits for it sees by a clock that never goes
//! back: clocks of different machines are not compared.

use crate::drive::step::{Method, Request};
use prescale_contracts::rfc3339;
use prescale_domain::time::EventTime;
use serde_json::{Value, json};

/// A lease that was not renewed for so long is free, in milliseconds.
pub(super) const DURATION_MS: u64 = 15_000;
/// Name of the lease.
const NAME: &str = "prescale-actuator";

/// What one process knows of the lease.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    namespace: String,
    me: String,
    /// How the lease stood when it was last seen to change: holder and time of renewal, and since when it stands so.
    seen: Option<(String, String, u64)>,
}

/// What is to be done about the lease.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// This request takes or renews it.
    Asks(Request),
    /// Somebody else holds it.
    Waits {
        /// Who.
        holder: String,
    },
}

impl Claim {
    /// Of a process of this name.
    pub(super) fn of(namespace: &str, me: String) -> Self {
        Self { namespace: namespace.to_owned(), me, seen: None }
    }

    /// Path of the lease.
    pub(super) fn path(&self) -> String {
        format!("{}/{NAME}", self.folder())
    }

    fn folder(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    /// What to do, given the lease as it is, if it is there.
    pub(super) fn turn(&mut self, lease: Option<&Value>, at: EventTime, now_ms: u64) -> Turn {
        let Some(lease) = lease else {
            return Turn::Asks(Request {
                method: Method::Post,
                path: self.folder(),
                content_type: "application/json",
                body: self.body(None, &self.me, at),
            });
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (holder, renewed) = (text(&lease["spec"]["holderIdentity"]), text(&lease["spec"]["renewTime"]));
        let since_ms = match &self.seen {
            Some((of, at, since_ms)) if (of, at) == (&holder, &renewed) => *since_ms,
            _ => now_ms,
        };
        self.seen = Some((holder.clone(), renewed, since_ms));
        let is_free = holder.is_empty() || now_ms.saturating_sub(since_ms) >= DURATION_MS;
        if holder != self.me && !is_free {
            return Turn::Waits { holder };
        }
        Turn::Asks(self.replaces(lease, &self.me, at))
    }

    /// The request that gives it back, given the lease as it is.
    pub(super) fn release(&self, lease: &Value, at: EventTime) -> Option<Request> {
        (lease["spec"]["holderIdentity"] == self.me.as_str()).then(|| self.replaces(lease, "", at))
    }

    fn replaces(&self, lease: &Value, holder: &str, at: EventTime) -> Request {
        let body = self.body(Some(lease), holder, at);
        Request { method: Method::Put, path: self.path(), content_type: "application/json", body }
    }

    fn body(&self, lease: Option<&Value>, holder: &str, at: EventTime) -> Value {
        let now = micros(at);
        let spec = lease.map(|lease| &lease["spec"]);
        let before = spec.and_then(|spec| spec["holderIdentity"].as_str()).unwrap_or_default();
        let is_same = before == holder;
        let transitions = spec.and_then(|spec| spec["leaseTransitions"].as_i64()).unwrap_or(0);
        let acquired = spec.map(|spec| spec["acquireTime"].clone()).filter(|time| is_same && !time.is_null());
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": NAME,
                "namespace": self.namespace,
                "resourceVersion": lease.map(|lease| lease["metadata"]["resourceVersion"].clone()),
            },
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": DURATION_MS / 1000,
                "acquireTime": acquired.unwrap_or_else(|| now.clone().into()),
                "renewTime": now,
                "leaseTransitions": transitions + i64::from(lease.is_some() && !is_same && !holder.is_empty()),
            },
        })
    }
}

/// An instant with six digits of its second, as the field asks for.
fn micros(at: EventTime) -> String {
    rfc3339(at).replace('Z', "000Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(me: &str) -> Claim {
        Claim::of("prescale", me.to_owned())
    }

    /// The lease that a request leaves behind.
    fn stored(turn: Turn, version: &str) -> Value {
        let Turn::Asks(request) = turn else { panic!("{turn:?} asks for nothing") };
        let mut lease = request.body;
        lease["metadata"]["resourceVersion"] = version.into();
        lease
    }

    fn at(s: i64) -> EventTime {
        EventTime::from_s(s)
    }

    #[test]
    fn the_first_makes_it_renews_it_and_keeps_the_others_waiting() {
        let (mut a, mut b) = (claim("a"), claim("b"));
        let first = a.turn(None, at(1), 0);
        let Turn::Asks(request) = &first else { panic!("{first:?}") };
        assert_eq!((request.method, request.path.ends_with("/leases")), (Method::Post, true));
        assert_eq!(request.body["spec"]["renewTime"], "1970-01-01T00:00:01.000000Z");
        let lease = stored(first, "1");
        assert_eq!(b.turn(Some(&lease), at(2), 2_000), Turn::Waits { holder: "a".to_owned() });
        let renewed = stored(a.turn(Some(&lease), at(12), 12_000), "2");
        assert_eq!(renewed["spec"]["acquireTime"], lease["spec"]["acquireTime"]);
        assert_eq!(renewed["spec"]["leaseTransitions"], 0);
        assert_eq!(b.turn(Some(&renewed), at(18), 18_000), Turn::Waits { holder: "a".to_owned() });
    }

    #[test]
    fn one_that_nobody_renews_is_taken_under_the_version_that_was_seen() {
        let (mut a, mut b) = (claim("a"), claim("b"));
        let lease = stored(a.turn(None, at(1), 0), "7");
        b.turn(Some(&lease), at(900), 50_000);
        assert!(matches!(b.turn(Some(&lease), at(914), 64_999), Turn::Waits { .. }), "by its own clock");
        let Turn::Asks(taken) = b.turn(Some(&lease), at(915), 65_000) else { panic!("it is free") };
        assert_eq!((taken.method, &taken.path), (Method::Put, &b.path()));
        let (metadata, spec) = (&taken.body["metadata"], &taken.body["spec"]);
        assert_eq!(metadata["resourceVersion"], "7");
        assert_eq!(spec["holderIdentity"], "b");
        assert_eq!(spec["leaseTransitions"], 1);
        assert_eq!(spec["acquireTime"], spec["renewTime"]);
    }

    #[test]
    fn one_that_is_given_back_is_free_at_once() {
        let (mut a, mut b) = (claim("a"), claim("b"));
        let lease = stored(a.turn(None, at(1), 0), "1");
        assert_eq!(b.release(&lease, at(2)), None, "it is not b's");
        let released = stored(Turn::Asks(a.release(&lease, at(2)).unwrap()), "2");
        assert_eq!(released["spec"]["leaseTransitions"], 0);
        assert!(matches!(b.turn(Some(&released), at(2), 0), Turn::Asks(_)));
    }
}
