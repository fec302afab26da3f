//! Tokens of Keystone: what one is good for, and until when. Pure.

use crate::clouds::Cloud;
use serde_json::Value;
use std::time::Duration;

/// A token is renewed when so large a share of its life is over.
const RENEWED_AT: f64 = 0.9;
/// Of a token that does not say how long it lives.
const UNSAID_LIFE: Duration = Duration::from_secs(600);

/// What a token leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Where Nova is, without a slash at the end.
    pub(crate) compute_url: String,
    /// Id of who has it.
    pub(crate) user: String,
    /// It is used for so long.
    pub(crate) used_for: Duration,
}

impl Granted {
    /// By the body of Keystone's answer.
    ///
    /// # Errors
    /// With what it lacks.
    pub(crate) fn read(body: &Value, cloud: &Cloud) -> Result<Self, String> {
        let token = &body["token"];
        let compute_url = match cloud.compute_url() {
            "" => endpoint(&token["catalog"], cloud).ok_or_else(|| {
                let (interface, region) = (cloud.interface(), cloud.region());
                format!("Keystone's catalogue has no {interface} endpoint of compute in region {region:?}")
            })?,
            url => url.to_owned(),
        };
        let used_for = life(token).unwrap_or(UNSAID_LIFE).mul_f64(RENEWED_AT);
        let user = token["user"]["id"].as_str().unwrap_or_default().to_owned();
        Ok(Self { compute_url: compute_url.trim_end_matches('/').to_owned(), user, used_for })
    }
}

fn endpoint(catalog: &Value, cloud: &Cloud) -> Option<String> {
    let services = catalog.as_array()?.iter().filter(|service| service["type"] == "compute");
    let mut endpoints = services.flat_map(|service| service["endpoints"].as_array().into_iter().flatten());
    let is_meant = |endpoint: &&Value| {
        let is_of_region = cloud.region().is_empty() || endpoint["region_id"] == cloud.region();
        endpoint["interface"] == cloud.interface() && is_of_region
    };
    endpoints.find(is_meant)?["url"].as_str().map(str::to_owned)
}

/// From when it was given until it ends, both by Keystone's clock.
fn life(token: &Value) -> Option<Duration> {
    let at = |key: &str| chrono::DateTime::parse_from_rfc3339(token[key].as_str()?).ok();
    (at("expires_at")? - at("issued_at")?).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cloud() -> Cloud {
        serde_json::from_value(json!({ "region_name": "north" })).unwrap()
    }

    #[test]
    fn a_token_says_where_nova_is_and_how_long_it_lives() {
        let endpoint = |interface: &str, region: &str| json!({"interface": interface, "region_id": region, "url": format!("http://{interface}.{region}/v2.1/")});
        let all = [endpoint("admin", "north"), endpoint("public", "south"), endpoint("public", "north")];
        let catalog = json!([{"type": "image", "endpoints": []}, {"type": "compute", "endpoints": all}]);
        let times = ("2026-01-01T00:00:00.000000Z", "2026-01-01T01:00:00.000000Z");
        let token = json!({
            "catalog": catalog, "issued_at": times.0, "expires_at": times.1, "user": {"id": "u-1"},
        });
        let mut body = json!({ "token": token });
        let granted = Granted::read(&body, &cloud()).unwrap();
        assert_eq!((granted.compute_url.as_str(), granted.user.as_str()), ("http://public.north/v2.1", "u-1"));
        assert_eq!(granted.used_for.as_secs(), 3240);
        body["token"]["catalog"][1]["endpoints"] = json!([]);
        assert!(Granted::read(&body, &cloud()).unwrap_err().contains("\"north\""));
    }
}
