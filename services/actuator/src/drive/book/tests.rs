//! What the book answers, case by case.

use super::*;
use crate::drive::driver::Standing;
use crate::drive::open::Seen;
use crate::drive::step::{Method, Request, Step};
use crate::drive::testing::{at_s, order, withdrawal};
use serde_json::Value;
use std::time::Duration;

fn book(undoes_withdrawn: bool) -> Book {
    let limits = Limits { calls_in_flight_max: 8, calls_per_s_max: 100.0, settle_s: 300 };
    Book::new(limits, &[Mechanism::Replicas], undoes_withdrawn)
}

fn seen(step: Step, is_taken: bool) -> Came {
    let standing = Standing { is_taken, is_dry_run: false, mark: "mark".into(), capacity: None };
    Came::Seen(Seen { standing, step })
}

fn sends() -> Step {
    let path = "/apis".to_owned();
    Step::Send(Request { method: Method::Put, path, content_type: "application/json", body: Value::Null })
}

fn waits() -> Step {
    Step::Wait { why: "2 of 4 are ready".to_owned(), look_again_s: 5 }
}

fn unavailable() -> Came {
    Came::Failed(CallError::Unavailable { why: "503".to_owned() })
}

fn only(mut jobs: Vec<Job>) -> Job {
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.remove(0)
}

fn outcomes(book: &mut Book) -> Vec<ActionOutcome> {
    book.ended().into_iter().map(|ended| ended.outcome).collect()
}

fn words(outcome: &ActionOutcome) -> &str {
    match outcome {
        ActionOutcome::Superseded { why } | ActionOutcome::Failed { why, .. } => why,
        other => panic!("{other:?} has no words"),
    }
}

#[test]
fn an_action_is_looked_at_sent_once_and_waited_for() {
    let mut book = book(false);
    book.take(order("web", (0, 900), 4, 0), Kept::New, at_s(1));
    let look = only(book.jobs(at_s(1)));
    assert_eq!((&look.call, book.in_flight(), book.jobs(at_s(1)).len()), (&Call::Look, 1, 0));
    book.came(&look, seen(sends(), false), at_s(2));
    let send = only(book.jobs(at_s(2)));
    assert!(matches!(send.call, Call::Send(_)));
    assert_eq!(book.open().next().unwrap().1.map(|mark| &**mark), Some("mark"), "it is written down before it is sent");
    book.came(&send, Came::Taken, at_s(3));
    let look = only(book.jobs(at_s(4)));
    assert_eq!(look.aim.sent_from.as_deref(), Some("mark"));
    book.came(&look, seen(waits(), true), at_s(4));
    assert!(book.jobs(at_s(8)).is_empty());
    assert_eq!(book.wake_ms(at_s(8)), Some(9000));
    let look = only(book.jobs(at_s(9)));
    let applied = ActionOutcome::Applied { effective_at: at_s(9).at };
    book.came(&look, seen(Step::Done(applied.clone()), true), at_s(9));
    assert_eq!(outcomes(&mut book), [applied]);
    assert_eq!((book.open().count(), book.wake_ms(at_s(9))), (0, None));
}

#[test]
fn after_any_failure_it_is_looked_at_before_anything_is_sent_again() {
    for error in [
        CallError::Conflict { why: "changed".to_owned() },
        CallError::Unknown { why: "no answer".to_owned() },
        CallError::Unavailable { why: "503".to_owned() },
        CallError::Unauthorised { why: "401".to_owned() },
        CallError::Throttled { why: "429".to_owned(), pause: Duration::from_secs(7) },
    ] {
        let mut book = book(false);
        book.take(order("web", (0, 900), 4, 0), Kept::New, at_s(1));
        let look = only(book.jobs(at_s(1)));
        book.came(&look, seen(sends(), false), at_s(1));
        let send = only(book.jobs(at_s(1)));
        let is_throttled = matches!(error, CallError::Throttled { .. });
        book.came(&send, Came::Failed(error), at_s(2));
        book.take(order("app", (0, 900), 4, 1), Kept::New, at_s(2));
        let others = book.jobs(at_s(2));
        assert_eq!(others.is_empty(), is_throttled, "a pause that the cloud asks for is for all: {others:?}");
        let again = book.jobs(at_s(9)).into_iter().find(|job| job.aim.order.workload().as_str() == "web").unwrap();
        assert_eq!(again.call, Call::Look);
    }
}

#[test]
fn what_is_refused_or_gone_has_failed() {
    let refused = CallError::Refused { why: "quota".to_owned(), retryable: true };
    let gone = CallError::Gone { why: "no such deployment".to_owned() };
    for (error, is_retryable) in [(refused, true), (gone, false)] {
        let mut book = book(false);
        book.take(order("web", (0, 900), 4, 0), Kept::New, at_s(1));
        let look = only(book.jobs(at_s(1)));
        book.came(&look, Came::Failed(error), at_s(2));
        let ended = outcomes(&mut book);
        assert!(matches!(&ended[..], [ActionOutcome::Failed { retryable, .. }] if *retryable == is_retryable));
    }
}

#[test]
fn a_newer_one_waits_for_the_call_under_way_and_what_comes_of_that_is_not_its_own() {
    let mut book = book(false);
    book.take(order("web", (0, 900), 4, 0), Kept::New, at_s(1));
    let look = only(book.jobs(at_s(1)));
    book.came(&look, seen(sends(), false), at_s(1));
    let send = only(book.jobs(at_s(1)));
    book.take(order("web", (60, 900), 6, 1), Kept::New, at_s(2));
    assert!(words(&outcomes(&mut book)[0]).contains("newer"));
    assert!(book.jobs(at_s(2)).is_empty(), "one call at a time");
    book.came(&send, Came::Taken, at_s(3));
    let look = only(book.jobs(at_s(3)));
    assert_eq!((&look.call, look.aim.order.action.desired.replicas), (&Call::Look, 6));
    book.take(order("web", (30, 900), 5, 2), Kept::New, at_s(3));
    assert!(words(&outcomes(&mut book)[0]).contains("newer"), "an older one comes late");
}

#[test]
fn what_is_void_is_never_sent_and_says_what_was_in_the_way() {
    let mut book = book(false);
    book.take(order("late", (0, 900), 4, 0), Kept::New, at_s(900));
    assert!(words(&outcomes(&mut book)[0]).contains("void"));
    book.take(order("web", (0, 900), 4, 1), Kept::New, at_s(890));
    let look = only(book.jobs(at_s(890)));
    book.came(&look, seen(sends(), false), at_s(899));
    assert!(book.jobs(at_s(900)).is_empty(), "it was not sent in time");
    assert!(words(&outcomes(&mut book)[0]).contains("void"));
    book.take(order("app", (0, 900), 4, 2), Kept::New, at_s(890));
    let look = only(book.jobs(at_s(890)));
    book.came(&look, Came::Failed(CallError::Unauthorised { why: "401".to_owned() }), at_s(901));
    assert_eq!(outcomes(&mut book), [ActionOutcome::Failed { why: "401".to_owned(), retryable: true }]);
}

#[test]
fn what_may_have_been_taken_is_looked_at_beyond_its_time() {
    let mut book = book(false);
    let sent = Kept::Open(Some("mark".into()));
    book.take(order("web", (0, 900), 4, 0), sent.clone(), at_s(2000));
    let look = only(book.jobs(at_s(2000)));
    book.came(&look, seen(waits(), true), at_s(2000));
    let look = only(book.jobs(at_s(2005)));
    book.came(&look, seen(waits(), true), at_s(2301));
    assert!(words(&outcomes(&mut book)[0]).contains("not in effect after 300 s: 2 of 4 are ready"));
    book.take(order("app", (0, 900), 4, 1), sent.clone(), at_s(2400));
    let look = only(book.jobs(at_s(2400)));
    book.came(&look, seen(sends(), false), at_s(2400));
    assert!(words(&outcomes(&mut book)[0]).contains("void"), "the request did not take effect");
    book.take(order("db", (0, 900), 4, 2), sent, at_s(2400));
    let look = only(book.jobs(at_s(2400)));
    book.came(&look, unavailable(), at_s(2400));
    let look = only(book.jobs(at_s(2401)));
    book.came(&look, unavailable(), at_s(2800));
    assert!(outcomes(&mut book).is_empty(), "something may be left half done");
    let look = only(book.jobs(at_s(24_000)));
    book.came(&look, unavailable(), at_s(24_000));
    assert!(words(&outcomes(&mut book)[0]).contains("nobody knows whether it took effect; at last: 503"));
}

#[test]
fn the_time_in_which_a_cloud_cannot_be_seen_is_none_in_which_it_was_waited_for() {
    let mut book = book(false);
    book.take(order("web", (0, 900), 4, 0), Kept::Open(Some("mark".into())), at_s(800));
    let look = only(book.jobs(at_s(800)));
    book.came(&look, seen(waits(), true), at_s(800));
    let look = only(book.jobs(at_s(805)));
    book.came(&look, unavailable(), at_s(805));
    for s in [5000, 5294] {
        let look = only(book.jobs(at_s(s)));
        book.came(&look, seen(waits(), true), at_s(s));
        assert!(outcomes(&mut book).is_empty(), "of 300 s so many have passed: 5 and {}", s - 5000);
    }
    let look = only(book.jobs(at_s(5299)));
    book.came(&look, seen(waits(), true), at_s(5299));
    assert!(words(&outcomes(&mut book)[0]).contains("not in effect after 300 s: 2 of 4 are ready"));
}

#[test]
fn what_was_half_done_is_brought_to_a_close_also_when_the_action_is_void() {
    let mut book = book(false);
    book.take(order("web", (0, 900), 4, 0), Kept::Open(Some("mark".into())), at_s(2000));
    let look = only(book.jobs(at_s(2000)));
    let Step::Send(request) = sends() else { panic!("it sends") };
    book.came(&look, seen(Step::TidyUp(request.clone()), false), at_s(2000));
    let tidies = only(book.jobs(at_s(2001)));
    assert_eq!(tidies.call, Call::Send(request));
    book.came(&tidies, Came::Taken, at_s(2001));
    let look = only(book.jobs(at_s(2002)));
    book.came(&look, seen(sends(), false), at_s(2002));
    assert!(words(&outcomes(&mut book)[0]).contains("void"), "nothing else is sent");
}

#[test]
fn what_one_has_left_half_done_is_looked_at_by_the_next_also_where_that_is_void() {
    let mut book = book(false);
    book.take(order("web", (0, 900), 4, 0), Kept::Open(Some("mark".into())), at_s(2000));
    book.take(order("web", (60, 900), 5, 1), Kept::New, at_s(2000));
    assert_eq!(outcomes(&mut book).len(), 1, "the newer one is open");
    let look = only(book.jobs(at_s(2000)));
    assert_eq!((&look.call, look.aim.order.action.desired.replicas, &look.aim.sent_from), (&Call::Look, 5, &None));
    book.came(&look, seen(waits(), false), at_s(2000));
    assert!(outcomes(&mut book).is_empty(), "it takes its time");
    let look = only(book.jobs(at_s(2005)));
    book.came(&look, seen(sends(), false), at_s(2005));
    assert!(words(&outcomes(&mut book)[0]).contains("void"), "nothing is sent");
    book.take(order("app", (0, 900), 4, 2), Kept::New, at_s(2005));
    assert!(words(&outcomes(&mut book)[0]).contains("void"), "there is nothing to look at");
    book.take(order("db", (0, 900), 4, 3), Kept::Open(None), at_s(2005));
    assert_eq!(only(book.jobs(at_s(2005))).call, Call::Look, "it may have taken such a place before a restart");
}

#[test]
fn a_request_that_was_refused_for_what_has_changed_does_not_count_as_sent() {
    for (error, mark) in [
        (CallError::Conflict { why: "changed".to_owned() }, None),
        (CallError::Unknown { why: "no answer".to_owned() }, Some("mark")),
    ] {
        let mut book = book(false);
        book.take(order("web", (0, 900), 4, 0), Kept::New, at_s(1));
        let look = only(book.jobs(at_s(1)));
        book.came(&look, seen(sends(), false), at_s(1));
        let send = only(book.jobs(at_s(1)));
        book.came(&send, Came::Failed(error), at_s(2));
        assert_eq!(only(book.jobs(at_s(9))).aim.sent_from.as_deref(), mark);
    }
}

#[test]
fn what_conflicts_for_good_is_asked_for_ever_less_often() {
    let mut book = book(false);
    book.take(order("web", (0, 900), 4, 0), Kept::New, at_s(1));
    let mut now = at_s(1);
    for _ in 0..20 {
        let look = only(book.jobs(now));
        book.came(&look, seen(sends(), false), now);
        let send = only(book.jobs(now));
        book.came(&send, Came::Failed(CallError::Conflict { why: "it is there".to_owned() }), now);
        let wake_ms = book.wake_ms(now).expect("it goes on");
        assert!(wake_ms >= now.ms + 100);
        now.ms = wake_ms;
    }
    assert!(now.ms > 60_000, "{} ms", now.ms);
}

#[test]
fn what_is_tidied_up_is_nothing_that_the_cloud_has_taken() {
    let mut book = book(false);
    book.take(order("web", (0, 900), 4, 0), Kept::New, at_s(1));
    let look = only(book.jobs(at_s(1)));
    let Step::Send(request) = sends() else { panic!("it sends") };
    book.came(&look, seen(Step::TidyUp(request), false), at_s(1));
    let tidies = only(book.jobs(at_s(1)));
    book.came(&tidies, Came::Taken, at_s(1));
    let look = only(book.jobs(at_s(2)));
    assert_eq!(look.aim.sent_from, None);
    book.came(&look, seen(waits(), false), at_s(2));
    let look = only(book.jobs(at_s(600)));
    book.came(&look, seen(waits(), false), at_s(600));
    assert!(outcomes(&mut book).is_empty(), "it is valid, and nothing was sent for it");
}

#[test]
fn a_withdrawal_ends_the_action_and_blocks_what_was_decided_with_it() {
    let mut book = book(false);
    let action = order("web", (0, 900), 4, 0);
    book.take(action.clone(), Kept::New, at_s(1));
    book.take(withdrawal(&action, 1), Kept::New, at_s(2));
    let ended = outcomes(&mut book);
    assert_eq!((ended.len(), words(&ended[0]), words(&ended[1])), (2, "paused", "paused"));
    book.take(order("web", (0, 900), 5, 2), Kept::New, at_s(3));
    assert_eq!(outcomes(&mut book).len(), 1);
    assert!(book.jobs(at_s(3)).is_empty());
    book.take(action.clone(), Kept::New, at_s(3));
    assert!(outcomes(&mut book).is_empty(), "it has its result");
}

#[test]
fn a_cloud_that_gives_back_what_was_withdrawn_is_asked_to() {
    let mut book = book(true);
    let action = order("web", (0, 900), 4, 0);
    book.take(action.clone(), Kept::Answered, at_s(1));
    book.take(withdrawal(&action, 1), Kept::New, at_s(2));
    let look = only(book.jobs(at_s(2)));
    assert!(look.aim.order.action.is_withdrawal());
    book.came(&look, seen(sends(), false), at_s(2));
    assert!(matches!(only(book.jobs(at_s(2))).call, Call::Send(_)));
}

#[test]
fn a_dry_run_shows_the_request_and_what_the_cloud_says_to_it() {
    let dry = |answer: Came| {
        let mut book = book(false);
        let mut action = order("web", (0, 900), 4, 0);
        action.action.dry_run = true;
        book.take(action, Kept::New, at_s(1));
        let look = only(book.jobs(at_s(1)));
        book.came(&look, seen(sends(), false), at_s(1));
        let check = only(book.jobs(at_s(1)));
        assert!(matches!(check.call, Call::Check(_)));
        book.came(&check, answer, at_s(1));
        match outcomes(&mut book).remove(0) {
            ActionOutcome::DryRun { request: Some(request), said } => (request, said),
            other => panic!("{other:?} shows nothing"),
        }
    };
    let (request, said) = dry(Came::Taken);
    assert_eq!((request.method.as_str(), request.path.as_str(), request.body.as_str()), ("PUT", "/apis", "null"));
    assert_eq!((request.is_accepted, said), (Some(true), None));
    let refused = CallError::Refused { why: "no".to_owned(), retryable: false };
    let (request, said) = dry(Came::Failed(refused));
    assert_eq!((request.is_accepted, said.as_deref()), (Some(false), Some("refused: no")));
}

#[test]
fn what_the_cloud_cannot_do_never_reaches_it() {
    let mut book = book(false);
    let mut action = order("web", (0, 900), 4, 0);
    action.action.mechanism = Mechanism::InstanceType;
    book.take(action, Kept::New, at_s(1));
    let ended = outcomes(&mut book);
    assert!(words(&ended[0]).contains("cells") && words(&ended[0]).contains("InstanceType"), "{ended:?}");
    assert!(book.jobs(at_s(1)).is_empty());
}

#[test]
fn no_more_calls_are_under_way_than_may_be_and_a_slow_one_holds_up_nobody() {
    let mut book = book(false);
    for nth in 0..20 {
        book.take(order(&format!("w{nth}"), (0, 900), 4, nth), Kept::New, at_s(1));
    }
    let mut first = book.jobs(at_s(1));
    assert_eq!((first.len(), book.jobs(at_s(1)).len(), book.wake_ms(at_s(1))), (8, 0, None));
    first.remove(0);
    let done = || Step::Done(ActionOutcome::Applied { effective_at: at_s(2).at });
    for job in first {
        book.came(&job, seen(done(), true), at_s(2));
    }
    let mut now_s = 2;
    loop {
        let jobs = book.jobs(at_s(now_s));
        if jobs.is_empty() {
            break;
        }
        for job in jobs {
            book.came(&job, seen(done(), true), at_s(now_s));
        }
        now_s += 1;
    }
    assert_eq!((book.ended().len(), book.in_flight(), book.open().count()), (19, 1, 1));
    book.forget(at_s(9000));
    assert_eq!(book.entries.len(), 1, "the others need not be known any more");
}
