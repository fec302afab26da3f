//! The page, built into the binary: no build step, nothing from elsewhere.

use axum::Router;
use axum::http::header;
use axum::routing::get;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($name:literal, $media_type:expr) => {
        (concat!("/", $name), $media_type, include_str!(concat!("../../assets/", $name)))
    };
}

const ASSETS: [(&str, &str, &str); 19] = [
    ("/", "text/html; charset=utf-8", include_str!("../../assets/index.html")),
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("theme.js", JAVASCRIPT),
    asset!("app.js", JAVASCRIPT),
    asset!("api.js", JAVASCRIPT),
    asset!("actions.js", JAVASCRIPT),
    asset!("chart.js", JAVASCRIPT),
    asset!("dom.js", JAVASCRIPT),
    asset!("explanation.js", JAVASCRIPT),
    asset!("features.js", JAVASCRIPT),
    asset!("fleet.js", JAVASCRIPT),
    asset!("format.js", JAVASCRIPT),
    asset!("groups.js", JAVASCRIPT),
    asset!("orders.js", JAVASCRIPT),
    asset!("pipeline.js", JAVASCRIPT),
    asset!("status.js", JAVASCRIPT),
    asset!("subject.js", JAVASCRIPT),
    asset!("workload.js", JAVASCRIPT),
];

/// The routes of the page.
pub(super) fn router() -> Router {
    ASSETS.into_iter().fold(Router::new(), |router, (path, media_type, body)| {
        let answer = ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")], body);
        router.route(path, get(move || async move { answer }))
    })
}
