//! Posting to a receiver until it has taken or refused a body.

use prescale_chassis::http_post::{Answered, HttpPost};
use prescale_chassis::patience::{GaveUp, Patience, Unavailable};

/// Posts a body until it is taken or refused for good, which is told in the log and counted.
///
/// # Errors
/// When it gave up before that.
pub(super) fn deliver(
    to: &HttpPost,
    body: &[u8],
    own_headers: &[(&str, &str)],
    patience: &mut Patience,
) -> Result<(), GaveUp> {
    loop {
        let unavailable = match to.post(body, own_headers) {
            Ok(Answered { status: 200..300, .. }) => {
                patience.answered();
                return Ok(());
            }
            Ok(Answered { status: status @ (400 | 413 | 422), words, .. }) => {
                patience.answered();
                let url = to.shown_url();
                tracing::error!(url, status, "an alert was refused and is not told: {words}");
                metrics::counter!("prescale_detector_alerts_refused_total", "url" => url.to_owned()).increment(1);
                return Ok(());
            }
            Ok(Answered { status, words, asked_pause }) => {
                let what_to_do = match status {
                    401 | 403 => " (give it a token, or user and password)",
                    300..=399 | 404 | 405 => " (is the url right?)",
                    _ => "",
                };
                Unavailable { why: format!("{} answered {status}{what_to_do}: {words}", to.shown_url()), asked_pause }
            }
            Err(why) => Unavailable::new(why),
        };
        patience.wait(&unavailable)?;
    }
}
