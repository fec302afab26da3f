//! What is asked of a registry, and what its answers mean. Pure: must not know how they travel.
//!
//! The one question that decides over records is whether an answer says that something does not
//! exist. A missing page says so too, at a wrong URL or from a proxy; only the API's own error code
//! counts, and anything else means that the registry cannot be asked now.

use serde::Deserialize;
use serde_json::{Value, json};

/// Compatibility of the subjects that are registered here.
const COMPATIBILITY: &str = "FULL_TRANSITIVE";

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask<'a> {
    /// The id of a schema under a subject.
    Lookup { subject: &'a str, schema: &'a str },
    /// Sets what later versions of the subject must keep to.
    Restrict { subject: &'a str },
    /// Makes it a version of the subject; tells the id.
    Register { subject: &'a str, schema: &'a str },
    /// The schema under an id.
    Schema { id: u32 },
}

/// Method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The id asked for.
    Id(u32),
    /// The schema's text.
    Schema(String),
    /// It was done.
    Done,
    /// The registry does not have it.
    Absent(String),
    /// It is there, or was asked for, and cannot be used.
    Unusable(String),
    /// Nothing is known: ask again later.
    Unavailable(String),
}

impl Ask<'_> {
    /// Method and path below the API's beginning.
    pub(super) fn request(&self) -> (Method, String) {
        match self {
            Self::Lookup { subject, .. } => (Method::Post, format!("/subjects/{subject}")),
            Self::Restrict { subject } => (Method::Put, format!("/config/{subject}")),
            Self::Register { subject, .. } => (Method::Post, format!("/subjects/{subject}/versions")),
            Self::Schema { id } => (Method::Get, format!("/schemas/ids/{id}")),
        }
    }

    pub(super) fn body(&self) -> Option<Value> {
        match self {
            Self::Lookup { schema, .. } | Self::Register { schema, .. } => Some(json!({"schema": schema})),
            Self::Restrict { .. } => Some(json!({"compatibility": COMPATIBILITY})),
            Self::Schema { .. } => None,
        }
    }

    /// What the reply means; `Err` is a reply that never came.
    pub(super) fn answer(&self, reply: Result<Reply, String>) -> Answer {
        let reply = match reply {
            Ok(reply) => reply,
            Err(why) => return Answer::Unavailable(why),
        };
        if reply.status == 200 {
            return self.granted(&reply.body);
        }
        let fault: Fault = serde_json::from_slice(&reply.body).unwrap_or_default();
        let said = format!("the schema registry answered {} {} to {:?}", reply.status, fault.message, self.request().1);
        match (self, reply.status, fault.error_code) {
            (Self::Schema { .. }, 404, 40403) => Answer::Absent(fault.message),
            (Self::Lookup { .. }, 404, 40401 | 40403) => Answer::Absent(fault.message),
            (Self::Register { .. }, 409 | 422, _) => Answer::Unusable(fault.message),
            _ => Answer::Unavailable(said),
        }
    }

    fn granted(&self, body: &[u8]) -> Answer {
        let strange =
            || Answer::Unavailable(format!("the answer to {:?} is none of a schema registry", self.request().1));
        match self {
            Self::Lookup { .. } | Self::Register { .. } => match serde_json::from_slice::<Registered>(body) {
                // The highest bit is never set: ids are Java's ints.
                Ok(Registered { id }) if i32::try_from(id).is_ok() => Answer::Id(id),
                _ => strange(),
            },
            Self::Restrict { .. } => Answer::Done,
            Self::Schema { id } => match serde_json::from_slice::<Found>(body) {
                Err(_) => strange(),
                Ok(found) if !found.schema_type.eq_ignore_ascii_case("AVRO") => {
                    Answer::Unusable(format!("schema {id} is {}, not AVRO", found.schema_type))
                }
                Ok(found) if !found.references.is_empty() => {
                    Answer::Unusable(format!("schema {id} refers to other schemas, which is not supported"))
                }
                Ok(found) => Answer::Schema(found.schema),
            },
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    error_code: u32,
    message: String,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct Found {
    schema: String,
    #[serde(rename = "schemaType", default = "avro")]
    schema_type: String,
    #[serde(default)]
    references: Vec<Value>,
}

fn avro() -> String {
    "AVRO".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(ask: Ask<'_>, status: u16, body: &str) -> Answer {
        ask.answer(Ok(Reply { status, body: body.as_bytes().to_vec() }))
    }

    const LOOKUP: Ask<'_> = Ask::Lookup { subject: "s", schema: "{}" };
    const REGISTER: Ask<'_> = Ask::Register { subject: "s", schema: "{}" };

    #[test]
    fn only_the_apis_own_word_says_that_something_is_absent() {
        let absent = r#"{"error_code":40403,"message":"Schema not found"}"#;
        assert_eq!(answer(Ask::Schema { id: 9 }, 404, absent), Answer::Absent("Schema not found".to_owned()));
        assert!(matches!(answer(LOOKUP, 404, r#"{"error_code":40401,"message":"no subject"}"#), Answer::Absent(_)));
        for page in ["", "<html>404</html>", r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#] {
            assert!(matches!(answer(Ask::Schema { id: 9 }, 404, page), Answer::Unavailable(_)), "{page}");
        }
        for status in [301, 401, 403, 429, 500, 503] {
            assert!(matches!(answer(Ask::Schema { id: 9 }, status, absent), Answer::Unavailable(_)), "{status}");
        }
        assert_eq!(LOOKUP.answer(Err("refused".to_owned())), Answer::Unavailable("refused".to_owned()));
    }

    #[test]
    fn ids_and_schemas_are_read() {
        assert_eq!(answer(LOOKUP, 200, r#"{"subject":"s","version":1,"id":7,"schema":"{}"}"#), Answer::Id(7));
        assert_eq!(answer(REGISTER, 200, r#"{"id":8}"#), Answer::Id(8));
        let schema = Ask::Schema { id: 9 };
        assert_eq!(answer(schema, 200, r#"{"schema":"\"long\""}"#), Answer::Schema("\"long\"".to_owned()));
        for strange in ["<html>", "{}", r#"{"id":-1}"#, r#"{"id":2147483648}"#] {
            assert!(matches!(answer(LOOKUP, 200, strange), Answer::Unavailable(_)), "{strange}");
        }
        for unusable in [r#"{"schema":"","schemaType":"JSON"}"#, r#"{"schema":"","references":[{"name":"x"}]}"#] {
            assert!(matches!(answer(schema, 200, unusable), Answer::Unusable(_)), "{unusable}");
        }
        assert!(matches!(answer(REGISTER, 409, r#"{"error_code":409,"message":"no"}"#), Answer::Unusable(_)));
    }

    #[test]
    fn requests_are_those_of_the_api() {
        assert_eq!(LOOKUP.request(), (Method::Post, "/subjects/s".to_owned()));
        assert_eq!(REGISTER.request(), (Method::Post, "/subjects/s/versions".to_owned()));
        assert_eq!(Ask::Restrict { subject: "s" }.request(), (Method::Put, "/config/s".to_owned()));
        assert_eq!(Ask::Restrict { subject: "s" }.body(), Some(json!({"compatibility": "FULL_TRANSITIVE"})));
        assert_eq!(Ask::Schema { id: 3 }.request(), (Method::Get, "/schemas/ids/3".to_owned()));
    }
}
