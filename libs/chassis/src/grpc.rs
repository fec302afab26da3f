//! gRPC over HTTP/2, of services with few calls: how a call is checked and its message found, and how it is answered, with
//! one message, with one after the other, or with why not. Must not know what messages say.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use std::convert::Infallible;
use std::fmt::Write as _;

const CONTENT_TYPE: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// Before each message: whether it is packed, and its length.
const PREFIX_BYTES: usize = 5;
/// What packing may add to a message.
const PACKING_BYTES_MAX: usize = 1024;

/// Why a call failed, as numbers of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It did not.
    Ok = 0,
    /// What was asked for makes no sense, whatever the server's state.
    InvalidArgument = 3,
    /// What was asked for is not there.
    NotFound = 5,
    /// There is no room for it, or it is too large.
    ResourceExhausted = 8,
    /// There is no such call, or it is written in a way that is not read.
    Unimplemented = 12,
    /// The server is broken.
    Internal = 13,
    /// It cannot be answered now; later it may be.
    Unavailable = 14,
    /// Whoever asks has not said who they are.
    Unauthenticated = 16,
}

impl Code {
    /// The number.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// That a call failed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The kind of failure.
    pub code: Code,
    /// For people.
    pub message: String,
    /// An encoded `google.rpc.Status`; empty for none.
    pub details: Vec<u8>,
}

impl Status {
    /// Of this kind, without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }
}

/// Whether the messages of a call with these headers may be packed with gzip, which is refused unless it is read.
///
/// # Errors
/// When it is no call of gRPC, or its messages are written in another way than those that are read.
pub fn may_be_packed(headers: &HeaderMap, gzip_is_read: bool) -> Result<bool, Status> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = text(header::CONTENT_TYPE);
    if !matches!(content_type, "application/grpc" | "application/grpc+proto") {
        let message = format!("Content-Type {content_type:?}: application/grpc is read");
        return Err(Status::new(Code::Unimplemented, message));
    }
    let encoding = text(ENCODING);
    match encoding {
        "" | "identity" => Ok(false),
        "gzip" if gzip_is_read => Ok(true),
        _ => {
            let read = if gzip_is_read { "gzip is read, and what is not packed" } else { "what is not packed is read" };
            Err(Status::new(Code::Unimplemented, format!("grpc-encoding {encoding:?}: {read}")))
        }
    }
}

/// Most bytes of a body whose one message has at most so many.
pub const fn body_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_add(PREFIX_BYTES + PACKING_BYTES_MAX)
}

/// The one message of a body, and whether it is packed.
///
/// # Errors
/// When there is another number of messages, or it is packed and must not be.
pub fn unframed(body: &[u8], may_be_packed: bool) -> Result<(bool, &[u8]), Status> {
    let bad = |message: &str| Status::new(Code::InvalidArgument, message);
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(bad("the call has no message"));
    };
    if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
        return Err(bad("the call has other than one whole message"));
    }
    match flag {
        0 => Ok((false, message)),
        1 if may_be_packed => Ok((true, message)),
        _ => Err(bad("the message is packed and its call does not say how")),
    }
}

/// A message with what comes before it, not packed.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend(message);
    Bytes::from(frame)
}

/// Answers with one message.
pub fn answered(message: &[u8]) -> Response {
    let frames = [Frame::data(framed(message)), Frame::trailers(trailers(None))];
    response(Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)))))
}

/// Answers with the messages that `next` makes, one after the other, until it has none and says why. It is given what it
/// gave with the message before, at first `begin`, and is dropped where it waits when the client has gone.
pub fn streamed<S, F>(begin: S, mut next: impl FnMut(S) -> F + Send + 'static) -> Response
where
    S: Send + 'static,
    F: Future<Output = Result<(Vec<u8>, S), Status>> + Send + 'static,
{
    let frames = stream::unfold(Some(begin), move |state| {
        let step = state.map(&mut next);
        async move {
            let (frame, state) = match step?.await {
                Ok((message, state)) => (Frame::data(framed(&message)), Some(state)),
                Err(status) => (Frame::trailers(trailers(Some(&status))), None),
            };
            Some((Ok::<_, Infallible>(frame), state))
        }
    });
    response(Body::new(StreamBody::new(frames)))
}

/// An answer that is nothing but its trailers, which then are headers.
pub fn refused(status: &Status) -> Response {
    let mut response = response(Body::empty());
    response.headers_mut().extend(trailers(Some(status)));
    response
}

fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// How a call ended: well, unless there is a status.
fn trailers(status: Option<&Status>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let code = status.map_or(Code::Ok, |status| status.code);
    trailers.insert(STATUS, HeaderValue::from(u16::from(code.number())));
    let Some(status) = status else { return trailers };
    if let Ok(message) = HeaderValue::from_str(&escaped(&status.message)) {
        trailers.insert(MESSAGE, message);
    }
    if !status.details.is_empty()
        && let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(&status.details))
    {
        trailers.insert(DETAILS, details);
    }
    trailers
}

/// A text as `grpc-message` has it: what is no plain character of ASCII is `%` and its bytes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.trim_end().bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // A string takes all.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[test]
    fn a_body_is_one_whole_message() {
        assert_eq!(unframed(&[0, 0, 0, 0, 2, 7, 8], false).unwrap(), (false, &[7, 8][..]));
        assert_eq!(unframed(&[1, 0, 0, 0, 0], true).unwrap(), (true, &[][..]));
        assert_eq!(unframed(&framed(&[7, 8]), false).unwrap(), (false, &[7, 8][..]));
        let bad: [&[u8]; 5] = [&[], &[0, 0, 0, 0], &[0, 0, 0, 0, 3, 7, 8], &[0, 0, 0, 0, 1, 7, 8], &[2, 0, 0, 0, 0]];
        for body in bad {
            assert_eq!(unframed(body, true).unwrap_err().code, Code::InvalidArgument, "{body:?}");
        }
        assert!(unframed(&[1, 0, 0, 0, 0], false).is_err());
    }

    #[test]
    fn calls_say_what_they_are_and_how_they_are_packed() {
        let headers = |content_type: &'static str, encoding: &'static str| {
            let text = HeaderValue::from_static;
            HeaderMap::from_iter([(header::CONTENT_TYPE, text(content_type)), (ENCODING, text(encoding))])
        };
        assert_eq!(may_be_packed(&headers(CONTENT_TYPE, "gzip"), true), Ok(true));
        assert_eq!(may_be_packed(&headers("application/grpc+proto", "identity"), true), Ok(false));
        for (content_type, encoding) in [("text/plain", ""), (CONTENT_TYPE, "zstd"), (CONTENT_TYPE, "gzip")] {
            let refused = may_be_packed(&headers(content_type, encoding), false).unwrap_err();
            assert_eq!(refused.code, Code::Unimplemented, "{content_type} {encoding}");
        }
    }

    #[test]
    fn texts_become_headers() {
        assert_eq!(escaped("100 % of é\n"), "100 %25 of %C3%A9");
        let status = Status { details: vec![1, 2], ..Status::new(Code::NotFound, "none\n") };
        let refused = refused(&status);
        assert_eq!(refused.headers()[STATUS], "5");
        assert_eq!(refused.headers()[MESSAGE], "none");
        assert_eq!(refused.headers()[DETAILS], "AQI");
    }

    #[tokio::test]
    async fn a_stream_is_its_messages_and_then_why_it_ended() {
        let next = |n: u8| async move {
            if n < 2 { Ok((vec![n], n + 1)) } else { Err(Status::new(Code::Unavailable, "stopping")) }
        };
        let collected = streamed(0, next).into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()[STATUS], "14");
        assert_eq!(collected.to_bytes(), Bytes::from_static(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1]));
        let collected = answered(&[7]).into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()[STATUS], "0");
        assert_eq!(collected.to_bytes(), framed(&[7]));
    }
}
