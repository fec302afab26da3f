//! Resizes that were begun and wait for their end: kept or taken back, whoever has begun them and whatever became of that
//! action. And what is left where no action comes any more. Pure.

use super::group::Facts;
use super::moves::{Move, wait};
use super::request;
use super::server::{Server, Status};
use crate::drive::driver::Aim;
use crate::drive::step::Request;
use prescale_domain::action::Mechanism;

/// Seconds until a resize that is under way is looked at again.
const LOOK_AGAIN_S: u32 = 2;
/// Of one that was confirmed, and does not show it yet.
const CONFIRMED_LOOK_AGAIN_S: u32 = 1;

/// What comes next for a resize of ours that has not come to its end; `None` where there is none.
pub(super) fn next<'a>(facts: &'a Facts, aim: &Aim) -> Option<Move<'a>> {
    facts.servers.iter().find_map(|server| of_server(server, aim))
}

fn of_server<'a>(server: &'a Server, aim: &Aim) -> Option<Move<'a>> {
    let mark = server.mark.as_ref()?;
    let is_under_way = matches!(server.status, Status::Resize | Status::RevertResize) && server.has_begun(mark);
    if is_under_way {
        return Some(wait(format!("server {} is being resized", server.id), LOOK_AGAIN_S));
    }
    if server.was_broken_by_us() {
        return Some(Move::Revive(server));
    }
    if !server.waits_for_us() {
        return None;
    }
    // After a confirmation it looks for a moment as before, and a second one would be refused.
    if server.is_busy || is_ending(server) {
        let why = format!("the resize of server {} is being brought to its end", server.id);
        return Some(wait(why, CONFIRMED_LOOK_AGAIN_S));
    }
    Some(if is_wanted(&server.flavor.name, aim) { Move::Confirm(server) } else { Move::Revert(server) })
}

/// Whether it was confirmed or reverted last, and that did not fail.
fn is_ending(server: &Server) -> bool {
    let last = server.record.first();
    last.is_some_and(|deed| matches!(deed.name.as_str(), "confirmResize" | "revertResize") && !deed.is_failed)
}

/// Whether the newest action wants servers of that flavor, or has nothing against them. What was withdrawn wants none.
fn is_wanted(flavor: &str, aim: &Aim) -> bool {
    let action = &aim.order.action;
    match action.desired.instance_type.as_deref() {
        _ if action.is_withdrawal() => false,
        Some(wanted) => wanted == flavor,
        None => action.mechanism == Mechanism::Replicas,
    }
}

/// What is done about a server that nobody has looked after for long: a resize that waits is taken back, since its action
/// was told to have failed, what a resize has broken is started again, and what was made and never ran is removed.
pub(super) fn abandoned(server: &Server) -> Option<Request> {
    if server.waits_for_us() {
        return (!server.is_busy).then(|| request::revert(&server.id));
    }
    if server.was_broken_by_us() {
        return Some(request::revive(&server.id));
    }
    let never_ran = server.status == Status::Error && server.made_by.is_some() && !server.was_launched;
    (never_ran && !server.is_busy && !server.is_locked).then(|| request::remove(&server.id))
}

#[cfg(test)]
mod tests {
    use super::super::server::{Deed, ResizeMark};
    use super::super::testing::{aim, facts, resized, server, withdrawal};
    use super::*;
    use prescale_domain::action::Verdict;

    fn deed(name: &str, is_failed: bool) -> Deed {
        Deed { name: name.to_owned(), is_failed, is_own: false }
    }

    #[test]
    fn a_resize_that_waits_is_kept_where_the_newest_action_wants_it_and_else_taken_back() {
        let facts = facts(vec![resized(server("a", "c1"), "c2", "some action")]);
        let larger = aim((1, "c1"), (1, "c2"));
        assert_eq!(next(&facts, &larger), Some(Move::Confirm(&facts.servers[0])));
        assert_eq!(next(&facts, &aim((1, "c1"), (1, "c4"))), Some(Move::Revert(&facts.servers[0])));
        assert_eq!(next(&facts, &withdrawal(&larger)), Some(Move::Revert(&facts.servers[0])));
        let mut more = aim((1, "c1"), (2, "c1"));
        std::sync::Arc::make_mut(&mut more.order).action.mechanism = Mechanism::Replicas;
        std::sync::Arc::make_mut(&mut more.order).action.desired.instance_type = None;
        assert_eq!(more.order.action.verdict, Verdict::ScaleOut);
        assert_eq!(next(&facts, &more), Some(Move::Confirm(&facts.servers[0])));
    }

    #[test]
    fn what_is_being_confirmed_is_left_alone_and_what_is_anothers() {
        let larger = aim((1, "c1"), (1, "c2"));
        let with = |change: fn(&mut Server)| {
            let mut server = resized(server("a", "c1"), "c2", "some action");
            change(&mut server);
            facts(vec![server])
        };
        let confirmed = with(|server| server.record.insert(0, deed("confirmResize", false)));
        assert!(matches!(next(&confirmed, &larger), Some(Move::Wait { .. })));
        let unconfirmed = with(|server| server.record.insert(0, deed("confirmResize", true)));
        assert!(matches!(next(&unconfirmed, &larger), Some(Move::Confirm(_))));
        let others = with(|server| server.record.insert(0, deed("resize", false)));
        assert_eq!(next(&others, &larger), None);
        let unmarked = with(|server| server.mark = None);
        assert_eq!(next(&unmarked, &larger), None);
        let under_way = with(|server| server.status = Status::Resize);
        assert!(matches!(next(&under_way, &larger), Some(Move::Wait { .. })));
        let broken = with(|server| server.status = Status::Error);
        assert_eq!(next(&broken, &larger), Some(Move::Revive(&broken.servers[0])));
        let not_revived = with(|server| {
            server.status = Status::Error;
            server.record.insert(0, deed("reboot", false));
        });
        assert_eq!(next(&not_revived, &larger), None);
    }

    #[test]
    fn what_nobody_looks_after_any_more_is_brought_to_an_end() {
        let waiting = resized(server("a", "c1"), "c2", "some action");
        assert_eq!(abandoned(&waiting), Some(request::revert("a")));
        assert_eq!(abandoned(&Server { is_busy: true, ..waiting }), None);
        let broken = Server { status: Status::Error, was_launched: false, ..server("b", "c1") };
        assert_eq!(abandoned(&broken), None, "nobody knows whose it is");
        assert_eq!(abandoned(&Server { made_by: Some("x".to_owned()), ..broken }), Some(request::remove("b")));
        let mark = ResizeMark { action: "x".to_owned(), resizes: 0, flavor: "c1".to_owned() };
        assert_eq!(abandoned(&Server { mark: Some(mark), ..server("c", "c1") }), None);
    }
}
