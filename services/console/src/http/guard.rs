//! What every answer carries and every request must: security headers, the token where one is
//! set, and a loopback host name where none is.

use super::problem;
use crate::config::Config;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use prescale_chassis::Secret;
use std::net::IpAddr;
use std::sync::Arc;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What requests must have to get in.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// Empty for none.
    pub(crate) token: Secret,
    pub(crate) is_tls: bool,
}

impl Door {
    pub(crate) fn of(config: &Config) -> Self {
        Self { token: config.token.clone(), is_tls: config.scheme() == "https" }
    }
}

pub(super) async fn guard(door: Arc<Door>, request: Request, next: Next) -> Response {
    let foreign = (!request.method().is_safe()).then(|| foreign(request.headers())).flatten();
    let refused = foreign.or_else(|| refusal(&door, request.uri().path(), request.headers()));
    let mut response = match refused {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses what a page of another origin sends: it needs no answer to do harm.
fn foreign(headers: &HeaderMap) -> Option<Response> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, name)| name == host);
    let is_of_a_page_elsewhere = text(header::ORIGIN).is_some_and(|origin| !is_own(origin));
    is_of_a_page_elsewhere
        .then(|| problem(StatusCode::FORBIDDEN, "orders are taken from this console's own page alone"))
}

fn refusal(door: &Door, path: &str, headers: &HeaderMap) -> Option<Response> {
    let token = door.token.expose();
    if token.is_empty() && door.is_tls {
        return None;
    }
    if token.is_empty() {
        // A page elsewhere can make its own name resolve to 127.0.0.1 and read what is served here. Over TLS it
        // cannot: the certificate does not have that name.
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        return (!is_loopback(host)).then(|| {
            problem(
                StatusCode::MISDIRECTED_REQUEST,
                format!("host {host:?} is not this machine's own name: open http://127.0.0.1, or set [console] token to allow other names"),
            )
        });
    }
    let guarded = path.starts_with("/api/") || path == "/metrics";
    let given =
        headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok()).and_then(|h| h.strip_prefix("Bearer "));
    if !guarded || given.is_some_and(|given| door.token.is(given)) {
        return None;
    }
    let mut response =
        problem(StatusCode::UNAUTHORIZED, "send the token of [console] token as `Authorization: Bearer TOKEN`");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"prescale\""));
    Some(response)
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for good in ["127.0.0.1:8080", "localhost", "LOCALHOST:80", "[::1]:8080", "127.1.2.3"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in ["", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "[::2]:1", "127.0.0.1.evil.example"]
        {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn foreign_names_get_in_over_tls_or_with_the_token_alone() {
        let headers = |authorization: &str| {
            let named = [(header::HOST, "console.example"), (header::AUTHORIZATION, authorization)];
            named.into_iter().map(|(name, value)| (name, HeaderValue::from_str(value).unwrap())).collect::<HeaderMap>()
        };
        let gets_in = |token: &str, is_tls, authorization: &str| {
            let door = Door { token: Secret::new(token), is_tls };
            refusal(&door, "/api/fleet", &headers(authorization)).is_none()
        };
        assert!(!gets_in("", false, "") && gets_in("", true, ""));
        for is_tls in [false, true] {
            assert!(gets_in("swordfish", is_tls, "Bearer swordfish"));
            assert!(!gets_in("swordfish", is_tls, "Bearer marlin") && !gets_in("swordfish", is_tls, ""));
        }
    }

    #[test]
    fn a_page_elsewhere_gives_no_orders() {
        let of = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("127.0.0.1:8080"))]);
            origin.map(|origin| headers.insert(header::ORIGIN, HeaderValue::from_static(origin)));
            foreign(&headers).is_none()
        };
        assert!(of(None) && of(Some("http://127.0.0.1:8080")));
        assert!(!of(Some("http://evil.example")) && !of(Some("null")) && !of(Some("http://127.0.0.1:9")));
    }
}
