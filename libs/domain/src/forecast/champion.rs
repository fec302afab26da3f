//! Which family makes a series' forecasts: the champion, with the others as challengers beside it.
//!
//! Once in a round, as long as the longest horizon, every family forecasts as of the same bin. Each
//! forecast is scored when its truth is known, by the mean pinball loss over the levels of value and maximum in
//! units of the demand's scale. A challenger wins by its lead, the difference of its loss and the champion's in the
//! same rounds, averaged with exponentially falling weights: it must be a good part of the champion's
//! loss, and several standard errors away from none (Diebold and Mariano 1995, "Comparing Predictive Accuracy").
//! The smaller of many noisy means is smaller by luck; without the second condition the choice loses more than
//! it gains. A champion has to keep an advantage over the family that the order of preference puts first; else that one
//! forecasts again. Rounds are few, so challengers cost a small part of what the champion does.

use super::demand::DemandSeries;
use super::{Family, HorizonQuantiles};
use crate::calibration::Statistic;
use crate::calibration::conformal::Scores;
use crate::calibration::series::MadeOfBoth;
use bitcode::{Decode, Encode};

/// Half-life of a round's weight, in rounds.
pub const HALF_LIFE_ROUNDS: f64 = 48.0;

/// The same for what was lately, in rounds.
pub const RECENT_HALF_LIFE_ROUNDS: f64 = 3.0;

/// Rounds under the same champion that a challenger must have been scored in before it can win.
pub const ROUNDS_MIN: u32 = 24;

/// A challenger wins when its mean lead is at least so much of the champion's mean loss,
pub const LEAD_MIN: f64 = 0.05;

/// and at least so many standard errors.
pub const LEAD_STANDARD_ERRORS_MIN: f64 = 3.0;

/// A champion stays while the preferred family loses at least so much more than it, as a share of the champion's
/// loss.
pub const ADVANTAGE_KEPT_MIN: f64 = 0.02;

/// A family's forecast of one horizon, raw and as it would be published.
pub type Both = (HorizonQuantiles, HorizonQuantiles);

/// The forecasts of one family whose truth is to come.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Entry {
    family: Family,
    /// One a horizon, the longest first.
    forecasts: Vec<MadeOfBoth>,
    loss: f64,
    scored: u32,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Round {
    bin: i64,
    scale: f64,
    entries: Vec<Entry>,
}

/// Loss of one family and its lead on the champion, discounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Record {
    loss: f64,
    weight: f64,
    /// Sums of the lead, of its square, of the weights and of their squares, since the same one reigns.
    lead: [f64; 4],
    /// Rounds since then.
    rounds: u32,
    /// Sums of the lead and of the weights, likewise, with the short half-life.
    recent: [f32; 2],
}

/// What is kept of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Contest {
    round: Option<Round>,
    /// By [`Family`], those that were never scored at the end left out.
    records: Vec<Record>,
    champion: Option<Family>,
    /// Who made the series' forecasts in the rounds that the leads are of.
    reigning: Option<Family>,
}

impl Contest {
    /// The family that won; `None` while none did or the preferred one has, so that the order of preference holds.
    pub fn champion(&self) -> Option<Family> {
        self.champion
    }

    /// Mean loss of a family, in units of the demand's scale.
    pub fn loss(&self, family: Family) -> Option<f64> {
        let record = self.records.get(family as usize)?;
        (record.weight > 0.0).then(|| record.loss / record.weight)
    }

    /// Whether a round begins with the bin: no other is under way.
    pub fn is_due(&self, bin: i64, horizons_bins: &[usize]) -> bool {
        let longest = horizons_bins.last().copied().unwrap_or(1) as i64;
        self.round.as_ref().is_none_or(|round| bin > round.bin + longest)
    }

    /// Begins a round as of `bin` with every family's forecasts, one a horizon; `scale` is the demand's.
    pub fn begin(&mut self, bin: i64, scale: f64, forecasts: &[(Family, Vec<Both>)]) {
        let entry = |(family, both): &(Family, Vec<Both>)| Entry {
            family: *family,
            forecasts: both.iter().rev().map(|(raw, published)| MadeOfBoth::new(raw, published)).collect(),
            loss: 0.0,
            scored: 0,
        };
        self.round = Some(Round { bin, scale, entries: forecasts.iter().map(entry).collect() });
    }

    /// Closes a bin, which is still the open one of `demand`: scores what was forecast for it, and at the
    /// round's end sees who is champion. `reigning` is who makes the series' forecasts: the champion, or another
    /// while there is none or its turn is not yet; `preferred` who would if there were none.
    /// Hands out the other families' calibration scores with horizon (its index) and statistic.
    pub fn close(
        &mut self,
        horizons_bins: &[usize],
        demand: &DemandSeries,
        (reigning, preferred): (Option<Family>, Option<Family>),
        mut scored: impl FnMut((Family, usize, Statistic), Scores),
    ) {
        let (Some(closed), Some(round)) = (demand.open(), &mut self.round) else { return };
        let ahead = closed.bin - round.bin;
        let due = horizons_bins.iter().position(|bins| *bins as i64 == ahead);
        if let (Some(horizon), Some(truth)) = (due, demand.truth()) {
            let truths = [Some(truth), demand.greatest_truth(horizons_bins[horizon])];
            for entry in &mut round.entries {
                let Some(forecasts) = entry.of_horizon(horizon, horizons_bins.len()) else { continue };
                for (statistic, truth) in Statistic::ALL.into_iter().zip(truths) {
                    let Some(truth) = truth else { continue };
                    let made = forecasts.of(statistic);
                    entry.loss += made.loss(truth) / round.scale;
                    entry.scored += 1;
                    if Some(entry.family) != reigning
                        && let Some(scores) = Scores::of(&made.raw, truth)
                    {
                        scored((entry.family, horizon, statistic), scores);
                    }
                }
            }
        }
        let to_come = horizons_bins.iter().filter(|bins| **bins as i64 > ahead).count();
        round.entries.iter_mut().for_each(|entry| entry.keep(to_come));
        if horizons_bins.last().is_none_or(|longest| ahead >= *longest as i64)
            && let (Some(round), Some(reigning)) = (self.round.take(), reigning)
        {
            self.settle(&round, reigning);
            self.crown(reigning, preferred);
        }
    }

    /// Whether a family lately lost less than the one whose forecasts are published. `None` before both were scored.
    pub fn lately_lost_less(&self, family: Family) -> Option<bool> {
        let [sum, weight] = self.records.get(family as usize)?.recent;
        (weight > 0.0).then_some(sum > 0.0)
    }

    /// Begins with a champion that others have, while there is none yet.
    pub fn start_from(&mut self, champion: Option<Family>) {
        self.champion = self.champion.or(champion);
    }

    /// Ends a time in which `stand_in` made the forecasts: it goes on as the champion if `next`, whose turn it
    /// would be, lost more than it did.
    pub fn end_stand_in(&mut self, stand_in: Family, next: Family) {
        let lead = self.records.get(next as usize).and_then(Record::lead);
        if self.reigning == Some(stand_in) && lead.is_some_and(|(mean, _)| mean < 0.0) {
            self.champion = Some(stand_in);
        }
    }

    /// Forgets the round under way: the series began anew.
    pub fn start(&mut self) {
        self.round = None;
    }

    /// Forgets the families that it is not between any more.
    pub fn keep(&mut self, is_in: impl Fn(Family) -> bool) {
        if let Some(round) = &mut self.round {
            round.entries.retain(|entry| is_in(entry.family));
        }
        self.round.take_if(|round| round.entries.is_empty());
        for (family, record) in Family::ALL.into_iter().zip(&mut self.records) {
            if !is_in(family) {
                *record = Record::default();
            }
        }
        self.champion = self.champion.filter(|family| is_in(*family));
        self.reigning = self.reigning.filter(|family| is_in(*family));
    }

    /// Books a round that is through.
    fn settle(&mut self, round: &Round, reigning: Family) {
        if self.reigning.replace(reigning) != Some(reigning) {
            let anew = |record: &mut Record| {
                *record = Record { loss: record.loss, weight: record.weight, ..Record::default() }
            };
            self.records.iter_mut().for_each(anew);
        }
        let held = round.entries.iter().find(|entry| entry.family == reigning).and_then(Entry::mean_loss);
        for entry in &round.entries {
            let Some(loss) = entry.mean_loss() else { continue };
            let place = entry.family as usize;
            self.records.resize(self.records.len().max(place + 1), Record::default());
            self.records[place].push(loss, held.map(|held| held - loss));
        }
    }

    fn crown(&mut self, reigning: Family, preferred: Option<Family>) {
        let Some(held) = self.loss(reigning) else { return };
        let leads = self.records.iter().enumerate().filter_map(|(place, record)| {
            let (mean, standard_error) = record.lead()?;
            let wins = mean > LEAD_MIN * held && mean > LEAD_STANDARD_ERRORS_MIN * standard_error;
            (wins && record.rounds >= ROUNDS_MIN).then_some((place, mean))
        });
        let winner = leads.max_by(|a, b| a.1.total_cmp(&b.1)).and_then(|(place, _)| Family::ALL.get(place));
        if let Some(winner) = winner.filter(|winner| **winner != reigning) {
            self.champion = Some(*winner).filter(|winner| Some(*winner) != preferred);
        } else if preferred.is_some_and(|preferred| preferred != reigning && self.is_back(preferred, held)) {
            self.champion = None;
        }
    }

    /// Whether the champion, which lost `held`, has lately had next to no advantage over a family.
    fn is_back(&self, family: Family, held: f64) -> bool {
        let Some(record) = self.records.get(family as usize).filter(|record| record.rounds >= ROUNDS_MIN) else {
            return false;
        };
        record.lead().is_some_and(|(mean, _)| mean > -ADVANTAGE_KEPT_MIN * held)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let entry = |entry: &Entry| size_of::<Entry>() + entry.forecasts.capacity() * size_of::<MadeOfBoth>();
        let round = self.round.as_ref().map_or(0, |round| round.entries.iter().map(entry).sum());
        round + self.records.capacity() * size_of::<Record>()
    }
}

impl Entry {
    /// Of a horizon (its index) of so many, ascending.
    fn of_horizon(&self, horizon: usize, horizons: usize) -> Option<MadeOfBoth> {
        self.forecasts.get(horizons.checked_sub(horizon + 1)?).copied()
    }

    /// Keeps the forecasts of so many horizons, the longest ones, in no more memory than they need.
    fn keep(&mut self, horizons: usize) {
        if self.forecasts.len() > horizons {
            self.forecasts.truncate(horizons);
            self.forecasts.shrink_to_fit();
        }
    }

    fn mean_loss(&self) -> Option<f64> {
        let mean = self.loss / f64::from(self.scored);
        mean.is_finite().then_some(mean)
    }
}

impl Record {
    fn push(&mut self, loss: f64, lead: Option<f64>) {
        let keep = 0.5f64.powf(1.0 / HALF_LIFE_ROUNDS);
        (self.loss, self.weight) = (keep * self.loss + loss, keep * self.weight + 1.0);
        if let Some(lead) = lead {
            let [sum, squares, weight, weight_squares] = self.lead;
            self.lead = [
                keep * sum + lead,
                keep * squares + lead * lead,
                keep * weight + 1.0,
                keep * keep * weight_squares + 1.0,
            ];
            self.rounds = self.rounds.saturating_add(1);
            let [sum, weight] = self.recent;
            let keep = 0.5f32.powf(1.0 / RECENT_HALF_LIFE_ROUNDS as f32);
            self.recent = [keep * sum + lead as f32, keep * weight + 1.0];
        }
    }

    /// The mean lead and its standard error, with the effective number of rounds (Kish).
    fn lead(&self) -> Option<(f64, f64)> {
        let [sum, squares, weight, weight_squares] = self.lead;
        let (mean, rounds) = (sum / weight, weight * weight / weight_squares);
        let variance = (squares / weight - mean * mean).max(0.0);
        let standard_error = (variance / (rounds - 1.0)).sqrt();
        (rounds > 1.0 && standard_error.is_finite()).then_some((mean, standard_error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::GRID_STEP_S;
    use crate::quantiles::{QUANTILE_LEVELS, Quantiles};
    use crate::time::EventTime;

    const HORIZONS: [usize; 2] = [1, 4];

    fn around(median: f64) -> Both {
        let quantiles = Quantiles::rearranged(QUANTILE_LEVELS.map(|level| median + level - 0.5)).unwrap();
        let both = HorizonQuantiles { value: quantiles, maximum: quantiles };
        (both, both)
    }

    /// A series of zeros; in each round the families miss by so much.
    fn run(contest: &mut Contest, rounds: usize, misses: impl Fn(usize) -> Vec<(Family, f64)>) -> Vec<(Family, usize)> {
        let (mut demand, mut round, mut scored) = (DemandSeries::default(), 0, Vec::new());
        demand.start(EventTime::of_bin(0, GRID_STEP_S), 0.0);
        for bin in 0..(rounds * 5) as i64 {
            if contest.is_due(bin, &HORIZONS) {
                let forecasts: Vec<_> =
                    misses(round).into_iter().map(|(family, miss)| (family, vec![around(miss); 2])).collect();
                contest.begin(bin, 1.0, &forecasts);
                round += 1;
            }
            let reigning = contest.champion().or(Some(Family::Gru));
            contest.close(&HORIZONS, &demand, (reigning, Some(Family::Gru)), |(family, horizon, _), _| {
                scored.push((family, horizon))
            });
            demand.close();
            demand.add(0.0);
        }
        scored
    }

    #[test]
    fn a_challenger_that_is_clearly_better_becomes_champion_after_a_day() {
        let mut contest = Contest::default();
        let misses = |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)];
        run(&mut contest, ROUNDS_MIN as usize - 1, misses);
        assert_eq!(contest.champion(), None);
        let scored = run(&mut contest, 2, misses);
        assert_eq!(contest.champion(), Some(Family::LastValue));
        assert!(scored.contains(&(Family::LastValue, 1)));
    }

    #[test]
    fn a_champion_without_an_advantage_gives_way_to_the_preferred() {
        for (miss, stays) in [(1.5, true), (1.005, false), (0.8, false)] {
            let mut contest = Contest::default();
            run(&mut contest, ROUNDS_MIN as usize + 1, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)]);
            assert_eq!(contest.champion(), Some(Family::LastValue));
            run(&mut contest, 4 * ROUNDS_MIN as usize, |_| vec![(Family::Gru, miss), (Family::LastValue, 1.0)]);
            assert_eq!(contest.champion().is_some(), stays, "{miss}");
        }
    }

    #[test]
    fn a_champion_that_is_forgotten_is_none_and_another_can_win() {
        let mut contest = Contest::default();
        let misses = |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)];
        run(&mut contest, ROUNDS_MIN as usize + 1, misses);
        let before = contest.clone();
        contest.keep(|_| true);
        assert_eq!(contest, before);
        contest.keep(|family| family != Family::LastValue);
        assert_eq!((contest.champion(), contest.loss(Family::LastValue)), (None, None));
        assert_eq!(contest.loss(Family::Gru), before.loss(Family::Gru));
        run(&mut contest, ROUNDS_MIN as usize + 2, |_| vec![(Family::Gru, 2.0), (Family::Arima, 1.5)]);
        assert_eq!(contest.champion(), Some(Family::Arima));
        contest.keep(|_| false);
        assert_eq!(contest.champion(), None);
    }

    #[test]
    fn one_that_is_hardly_better_does_not() {
        let mut contest = Contest::default();
        run(&mut contest, 200, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.97)]);
        assert_eq!(contest.champion(), None);
        assert!(contest.loss(Family::LastValue).unwrap() < contest.loss(Family::Gru).unwrap());
    }

    /// Better by a quarter on the mean, but by luck: one round in twelve makes it.
    #[test]
    fn one_that_is_better_by_a_few_rounds_does_not() {
        let mut contest = Contest::default();
        run(&mut contest, 60, |round| {
            let gru = if round % 12 == 5 { 9.0 } else { 1.0 };
            vec![(Family::Gru, gru), (Family::LastValue, 1.25)]
        });
        assert!(contest.loss(Family::LastValue).unwrap() < 0.8 * contest.loss(Family::Gru).unwrap());
        assert_eq!(contest.champion(), None);
    }

    #[test]
    fn families_that_take_turns_do_not_make_it_flap() {
        let mut contest = Contest::default();
        let (mut changes, mut last) = (0, None);
        for _ in 0..400 {
            let turn = |round: usize| if round.is_multiple_of(2) { (2.0, 1.0) } else { (1.0, 2.0) };
            run(&mut contest, 2, |round| {
                let (gru, naive) = turn(round);
                vec![(Family::Gru, gru), (Family::SeasonalNaive, naive)]
            });
            changes += usize::from(contest.champion() != last);
            last = contest.champion();
        }
        assert_eq!(changes, 0);
    }

    #[test]
    fn a_stand_in_goes_on_where_the_other_lost_more() {
        for (miss, wanted) in [(3.0, Some(Family::SeasonalNaive)), (1.0, None)] {
            let mut contest = Contest::default();
            let (mut demand, horizons) = (DemandSeries::default(), [1]);
            demand.start(EventTime::of_bin(0, GRID_STEP_S), 0.0);
            for bin in 0..40 {
                if contest.is_due(bin, &horizons) {
                    let entry = |(family, miss)| (family, vec![around(miss)]);
                    contest.begin(bin, 1.0, &[(Family::SeasonalNaive, 2.0), (Family::Gru, miss)].map(entry));
                }
                contest.close(&horizons, &demand, (Some(Family::SeasonalNaive), None), |_, _| ());
                demand.close();
                demand.add(0.0);
            }
            assert_eq!(contest.lately_lost_less(Family::Gru), Some(wanted.is_none()));
            assert_eq!(contest.lately_lost_less(Family::Arima), None);
            contest.end_stand_in(Family::LastValue, Family::Gru);
            assert_eq!(contest.champion(), None, "somebody else stood in");
            contest.end_stand_in(Family::SeasonalNaive, Family::Gru);
            assert_eq!(contest.champion(), wanted);
        }
    }

    #[test]
    fn who_is_right_later_wins_later() {
        let mut contest = Contest::default();
        run(&mut contest, 100, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)]);
        run(&mut contest, 200, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0), (Family::Arima, 0.5)]);
        assert_eq!(contest.champion(), Some(Family::Arima));
    }

    #[test]
    fn only_challengers_hand_out_calibration_scores_and_a_restart_changes_nothing() {
        let mut contest = Contest::default();
        let scored = run(&mut contest, 3, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)]);
        assert!(!scored.is_empty() && scored.iter().all(|(family, _)| *family == Family::LastValue));
        let restored: Contest = bitcode::decode(&bitcode::encode(&contest)).unwrap();
        assert_eq!(restored, contest);
        contest.start();
        assert!(contest.is_due(0, &HORIZONS));
    }
}
