//! Sends a partition's records to a store until it has taken or refused each piece of them.
//!
//! A request that is refused is halved, between records first, until what is refused stands alone: one
//! bad sample must not take others with it.

use super::endpoint::{Answer, Endpoint};
use super::pieces::{Encode, Encoder, Pieces};
use prescale_chassis::patience::{GaveUp, Patience, Unavailable};
use prescale_chassis::sink::{Sink, Taken};
use std::ops::Range;
use std::sync::Arc;

/// Something that answers requests.
pub(crate) trait Post: Send + Sync {
    /// Sends a body.
    fn post(&self, body: &[u8]) -> Answer;
    /// Its address, for logs.
    fn address(&self) -> &str;
}

impl Post for Endpoint {
    fn post(&self, body: &[u8]) -> Answer {
        Endpoint::post(self, body)
    }

    fn address(&self) -> &str {
        self.shown_url()
    }
}

/// What a store refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    /// How many pieces.
    pieces: usize,
    /// Its words to the first.
    why: String,
}

/// The sink of one partition.
pub(crate) struct Sender<E, P = Endpoint> {
    encoder: E,
    store: Arc<P>,
    pieces_per_request_max: usize,
    /// Whether the store has shown that it takes this protocol. Until then a refusal may come from
    /// whatever else answers at the address.
    is_known: bool,
}

impl<E: Encoder, P: Post> Sender<E, P> {
    /// To a store, so many pieces at a time.
    pub(crate) fn new(encoder: E, store: Arc<P>, pieces_per_request_max: usize) -> Self {
        Self { encoder, store, pieces_per_request_max, is_known: false }
    }

    /// Sends pieces until they are taken or refused; tells how many were refused, and why.
    fn send(
        &mut self,
        pieces: &Pieces,
        range: Range<usize>,
        patience: &mut Patience,
    ) -> Result<Option<Refusal>, GaveUp> {
        let mut open = vec![range];
        let mut refused: Option<Refusal> = None;
        while let Some(range) = open.pop() {
            let body = self.encoder.body(pieces.bytes(&range));
            let (why, is_stale) = match self.answer(&body, patience)? {
                None => continue,
                Some(refusal) => refusal,
            };
            match pieces.halves(&range) {
                // All samples of a record have one timestamp.
                Some(_) if is_stale && pieces.is_within_a_record(&range) => {}
                Some((left, right)) => {
                    open.extend([right, left]);
                    continue;
                }
                None => {}
            }
            refused.get_or_insert(Refusal { pieces: 0, why }).pieces += range.len();
        }
        Ok(refused)
    }

    /// `None` once the store has taken the body; its words and whether they are about age when it has
    /// refused it.
    fn answer(&mut self, body: &[u8], patience: &mut Patience) -> Result<Option<(String, bool)>, GaveUp> {
        loop {
            let unavailable = match self.store.post(body) {
                Answer::Taken => {
                    self.is_known = true;
                    patience.answered();
                    return Ok(None);
                }
                Answer::Refused { why, is_stale } if is_stale || self.is_known || self.takes_empty_requests() => {
                    self.is_known = true;
                    patience.answered();
                    return Ok(Some((why, is_stale)));
                }
                Answer::Refused { why, .. } => {
                    Unavailable::new(format!("{why}; it refuses even a request without samples: is the url right?"))
                }
                Answer::Unavailable { why, asked_pause } => Unavailable { why, asked_pause },
            };
            patience.wait(&unavailable)?;
        }
    }

    fn takes_empty_requests(&self) -> bool {
        match self.store.post(&self.encoder.body(&[])) {
            Answer::Taken => true,
            // InfluxDB 2 says so of an empty body.
            Answer::Refused { why, .. } => why.contains("writing requires points"),
            Answer::Unavailable { .. } => false,
        }
    }
}

impl<C: Send, E: Encode<C>, P: Post> Sink<C> for Sender<E, P> {
    fn take(&mut self, records: &[Taken<'_, C>], patience: &mut Patience) -> Result<(), GaveUp> {
        let mut pieces = Pieces::default();
        for taken in records {
            self.encoder.encode(&taken.value, &mut pieces);
            pieces.end_record();
        }
        for chunk in pieces.chunks(self.pieces_per_request_max) {
            let sent = chunk.len();
            let refused = self.send(&pieces, chunk, patience)?;
            let count = refused.as_ref().map_or(0, |refusal| refusal.pieces);
            if let Some(Refusal { why, .. }) = refused {
                tracing::warn!(count, store = self.store.address(), why, "the store refused samples for good");
            }
            let labels = [("store", self.store.address().to_owned())];
            metrics::counter!("prescale_archiver_samples_refused_total", &labels).increment(count as u64);
            metrics::counter!("prescale_archiver_samples_taken_total", &labels).increment((sent - count) as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_chassis::HealthRegistry;
    use std::sync::Mutex;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    /// Writes each number of a record as a byte.
    #[derive(Clone)]
    struct Bytes;

    impl Encoder for Bytes {
        fn body(&self, pieces: &[u8]) -> Vec<u8> {
            pieces.to_vec()
        }
    }

    impl Encode<Vec<u8>> for Bytes {
        fn encode(&self, value: &Vec<u8>, pieces: &mut Pieces) {
            for byte in value {
                pieces.push(|bytes| bytes.push(*byte));
            }
        }
    }

    /// Refuses requests with a byte from 200 up, those from 250 for their age; is away for a while first.
    #[derive(Default)]
    struct Store {
        kept: Mutex<Vec<u8>>,
        posts: Mutex<usize>,
        away_for: usize,
        knows_nothing: bool,
    }

    impl Post for Store {
        fn post(&self, body: &[u8]) -> Answer {
            let mut posts = self.posts.lock().unwrap();
            *posts += 1;
            if *posts <= self.away_for {
                return Answer::Unavailable { why: "away".to_owned(), asked_pause: Duration::ZERO };
            }
            let worst = body.iter().max().copied().unwrap_or(0);
            if worst >= 200 || self.knows_nothing {
                return Answer::Refused { why: format!("{worst}"), is_stale: worst >= 250 };
            }
            self.kept.lock().unwrap().extend(body);
            Answer::Taken
        }

        fn address(&self) -> &str {
            "here"
        }
    }

    fn sent(store: Store, records: &[&[u8]]) -> (Vec<u8>, Result<Option<Refusal>, GaveUp>, usize) {
        let store = Arc::new(store);
        let mut sender = Sender::new(Bytes, Arc::clone(&store), 100);
        let mut pieces = Pieces::default();
        for record in records {
            Bytes.encode(&record.to_vec(), &mut pieces);
            pieces.end_record();
        }
        let shutdown = CancellationToken::new();
        if store.knows_nothing {
            shutdown.cancel();
        }
        let mut patience = Patience::new("test", HealthRegistry::default().component("test"), shutdown);
        let refused = sender.send(&pieces, 0..pieces.len(), &mut patience);
        let kept = store.kept.lock().unwrap().clone();
        let posts = *store.posts.lock().unwrap();
        (kept, refused, posts)
    }

    #[test]
    fn one_bad_sample_takes_no_other_with_it() {
        let records: [&[u8]; 4] = [&[1, 2], &[3, 200, 4], &[5], &[6, 7]];
        let (kept, refused, _) = sent(Store::default(), &records);
        assert_eq!(
            (kept, refused),
            (vec![1, 2, 3, 4, 5, 6, 7], Ok(Some(Refusal { pieces: 1, why: "200".to_owned() })))
        );
    }

    #[test]
    fn a_record_that_is_too_old_is_refused_as_one() {
        let records: [&[u8]; 3] = [&[1, 2], &[250; 40], &[3]];
        let (kept, refused, posts) = sent(Store::default(), &records);
        assert_eq!((kept, refused), (vec![1, 2, 3], Ok(Some(Refusal { pieces: 40, why: "250".to_owned() }))));
        assert!(posts < 10, "{posts}");
    }

    #[test]
    fn an_outage_is_waited_for() {
        let (kept, refused, posts) = sent(Store { away_for: 2, ..Store::default() }, &[&[1], &[2]]);
        assert_eq!((kept, refused, posts), (vec![1, 2], Ok(None), 3));
    }

    #[test]
    fn a_refusal_is_not_believed_of_one_who_refuses_everything() {
        let (kept, refused, _) = sent(Store { knows_nothing: true, ..Store::default() }, &[&[1]]);
        assert_eq!((kept, refused), (vec![], Err(GaveUp)));
    }
}
