//! Which contenders no other one beats in every way, and which of the planner's beat whom.

use serde::Serialize;

/// What a contender is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A simple rule in use elsewhere.
    Rule,
    /// As bought, or perfect foresight: it beats nobody, and nobody beats it.
    Bound,
    /// The planner, by any of its policies.
    Planner,
}

/// A contender as it is compared with those of its lead time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub role: Role,
    pub lead_time_s: u32,
    /// Less is better.
    pub measures: [f64; 4],
}

/// Where a contender stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whether it is no bound, and no other one beats it.
    pub on_front: bool,
    /// The planner's that beat it, by their index.
    pub beaten_by: Vec<usize>,
}

impl Point {
    /// Whether it has no more of any measure, and less of at least one.
    fn beats(&self, other: &Self) -> bool {
        let is_bound = self.role == Role::Bound || other.role == Role::Bound;
        !is_bound
            && self.lead_time_s == other.lead_time_s
            && self.measures.iter().zip(&other.measures).all(|(own, others)| own <= others)
            && self.measures != other.measures
    }
}

/// Where each stands among them all.
pub(super) fn standings(points: &[Point]) -> Vec<Standing> {
    let standing = |point: &Point| {
        let better: Vec<usize> = (0..points.len()).filter(|other| points[*other].beats(point)).collect();
        Standing {
            on_front: point.role != Role::Bound && better.is_empty(),
            beaten_by: better.into_iter().filter(|other| points[*other].role == Role::Planner).collect(),
        }
    };
    points.iter().map(standing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(points: &[(Role, u32, [f64; 4])]) -> Vec<(bool, Vec<usize>)> {
        let points: Vec<Point> =
            points.iter().map(|&(role, lead_time_s, measures)| Point { role, lead_time_s, measures }).collect();
        standings(&points).into_iter().map(|standing| (standing.on_front, standing.beaten_by)).collect()
    }

    #[test]
    fn who_has_more_of_nothing_and_less_of_something_beats_another() {
        let found = standing(&[
            (Role::Rule, 300, [2.0, 2.0, 2.0, 2.0]),
            (Role::Planner, 300, [2.0, 2.0, 2.0, 1.0]),
            (Role::Planner, 300, [1.0, 1.0, 1.0, 3.0]),
            (Role::Rule, 300, [1.0, 2.0, 2.0, 1.0]),
        ]);
        assert_eq!(found, [(false, vec![1]), (false, vec![]), (true, vec![]), (true, vec![])]);
    }

    #[test]
    fn equals_do_not_beat_each_other() {
        let found = standing(&[(Role::Rule, 300, [1.0; 4]), (Role::Planner, 300, [1.0; 4])]);
        assert_eq!(found, [(true, vec![]), (true, vec![])]);
    }

    #[test]
    fn neither_bounds_nor_other_lead_times_take_part() {
        let found = standing(&[
            (Role::Bound, 300, [0.0; 4]),
            (Role::Bound, 300, [3.0; 4]),
            (Role::Rule, 300, [2.0; 4]),
            (Role::Planner, 900, [1.0; 4]),
        ]);
        assert_eq!(found, [(false, vec![]), (false, vec![]), (true, vec![]), (true, vec![])]);
    }

    #[test]
    fn all_of_the_planners_that_beat_one_are_named() {
        let found = standing(&[
            (Role::Planner, 300, [1.0, 1.0, 1.0, 1.0]),
            (Role::Rule, 300, [1.0, 1.0, 1.0, 2.0]),
            (Role::Planner, 300, [1.0, 1.0, 0.5, 1.5]),
            (Role::Rule, 300, [0.5, 1.0, 1.0, 2.0]),
        ]);
        assert_eq!(found, [(true, vec![]), (false, vec![0, 2]), (true, vec![]), (true, vec![])]);
    }
}
