//! Which family makes a series' forecasts: the one that the order of preference puts first, or a champion that beats it.
//!
//! Once in a round, as long as the longest horizon, every family forecasts as of the same bin. Each
//! forecast is scored when its truth is known, by the mean pinball loss over the levels of value and maximum. A challenger
//! is held against the preferred family, whoever's forecasts are published, by its lead: the difference of their losses
//! in the same rounds, averaged with exponentially falling weights (Diebold and Mariano 1995, "Comparing Predictive
//! Accuracy"; round by round Choe and Ramdas 2024, "Comparing Sequential Forecasters"). Losses are in the unit of the
//! demand: in units of its size of the time, the quiet days would count as much as those in which most is lost.
//!
//! The preferred family has the benefit of the doubt, for the smallest of many noisy means is small by luck:
//! - A challenger wins with a lead that is a good part of the preferred one's loss, lately too, and more than chance
//!   explains. All challengers share that chance (Bonferroni), and rounds that are like those before them count for less
//!   (Bayley and Hammersley 1946, "The 'Effective' Number of Independent Observations in an Autocorrelated Time Series").
//! - A champion goes as soon as the lead that it lately had is gone.
//!
//! Rounds are few, so challengers cost a small part of what the champion does.

use super::Family;
use super::demand::DemandSeries;
pub use super::round::Both;
use super::round::{Entry, Round};
use crate::calibration::Statistic;
use crate::calibration::conformal::Scores;
use bitcode::{Decode, Encode};

/// The half-life of what was lost lately, where drift asks, in rounds.
pub const RECENT_HALF_LIFE_ROUNDS: f32 = 3.0;

/// Rounds that a champion which others handed on has before it is judged by its own.
pub const ROUNDS_GRANTED: u32 = 12;

/// How alike neighbouring rounds are taken to be at most.
pub const LIKENESS_MAX: f32 = 0.9;

/// What it takes to become champion and to stay it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Half-life of a round's weight, in rounds.
    pub half_life_rounds: f32,
    /// The same for what was lately.
    pub late_half_life_rounds: f32,
    /// Rounds that a challenger must have been scored in beside the preferred family before it can win.
    pub rounds_min: u32,
    /// A challenger wins when its mean lead is more than so much of the preferred family's mean loss, in the long run and
    /// lately,
    pub lead_min: f32,
    /// and could be by chance with at most this probability, all challengers of a round together.
    pub luck_max: f32,
    /// A champion stays while it lately led by more than so much of the preferred family's loss.
    pub lead_kept_min: f32,
    /// Drift lets seasonal naive stand in where it very lately led by more than so much of the loss of who forecasts.
    pub stand_in_lead_min: f32,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            half_life_rounds: 96.0,
            late_half_life_rounds: 24.0,
            rounds_min: 24,
            lead_min: 0.05,
            luck_max: 0.001,
            lead_kept_min: 0.02,
            stand_in_lead_min: 0.1,
        }
    }
}

/// What the families lost in a round that is through.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundLosses {
    /// The bin as of which all of them forecast.
    pub bin: i64,
    /// By family, in the order of the round: mean pinball loss over levels, horizons and statistics, in the unit of the
    /// demand. Those of which nothing could be scored are left out.
    pub losses: Vec<(Family, f32)>,
}

/// The lead of one family on the preferred one, discounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Record {
    /// Sums of the lead, its square, its product with the one before, the weights and their squares.
    lead: [f32; 5],
    /// Sum of the preferred family's loss in the same rounds.
    loss: f32,
    newest: f32,
    /// Rounds that these are of.
    rounds: u32,
    /// Sums of the lead and of the preferred family's loss of lately.
    late: [f32; 2],
    /// Of what was very lately, since the same one reigns: sums of the lead on that one and of its loss.
    recent: [f32; 2],
}

/// What is kept of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Contest {
    round: Option<Round<Family>>,
    /// By [`Family`], those that were never scored at the end left out.
    records: Vec<Record>,
    champion: Option<Family>,
    /// Who made the series' forecasts in the newest rounds.
    reigning: Option<Family>,
    /// Whom the leads are on.
    preferred: Option<Family>,
}

impl RoundLosses {
    /// The families, in the order of the round.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        self.losses.iter().map(|(family, _)| *family)
    }
}

impl Contest {
    /// The family that won; `None` while none did or its lead is gone, so that the order of preference holds.
    pub fn champion(&self) -> Option<Family> {
        self.champion
    }

    /// Whether a round begins with the bin: no other is under way.
    pub fn is_due(&self, bin: i64, horizons_bins: &[usize]) -> bool {
        self.round.as_ref().is_none_or(|round| round.is_over_with(bin, horizons_bins))
    }

    /// Begins a round as of `bin` with every family's forecasts, one a horizon.
    pub fn begin(&mut self, bin: i64, forecasts: &[(Family, Vec<Both>)]) {
        self.round = Some(Round::of(bin, forecasts));
    }

    /// Closes a bin, which is still the open one of `demand`: scores what was forecast for it, and at the
    /// round's end sees who is champion. `reigning` is who makes the series' forecasts: the champion, or another
    /// while there is none or its turn is not yet; `preferred` who would if there were none.
    /// Hands out the other families' calibration scores with horizon (its index) and statistic. Gives what was lost in the
    /// round that is through with the bin.
    pub fn close(
        &mut self,
        terms: &Terms,
        horizons_bins: &[usize],
        demand: &DemandSeries,
        (reigning, preferred): (Option<Family>, Option<Family>),
        mut scored: impl FnMut((Family, usize, Statistic), Scores),
    ) -> Option<RoundLosses> {
        let is_through =
            self.round.as_mut()?.close(horizons_bins, demand, |(family, horizon, statistic), made, truth| {
                if Some(family) != reigning
                    && let Some(scores) = Scores::of(&made.raw, truth)
                {
                    scored((family, horizon, statistic), scores);
                }
            });
        if !is_through {
            return None;
        }
        let round = self.round.take()?;
        if let Some(reigning) = reigning {
            self.settle(terms, &round, (reigning, preferred));
            self.crown(terms);
        }
        let losses = round.entries.iter().filter_map(|entry| Some((entry.who, entry.mean_loss()?)));
        Some(RoundLosses { bin: round.bin, losses: losses.collect() })
    }

    /// By how much a family very lately lost less than the one whose forecasts are published, as a share of what that one
    /// lost; below 0 where it lost more. `None` before both were scored, and where nothing was lost.
    pub fn recent_lead(&self, family: Family) -> Option<f32> {
        let [lead, loss] = self.record(family)?.recent;
        (loss > 0.0).then(|| lead / loss)
    }

    /// Begins with a champion that others have, while there is none yet.
    pub fn start_from(&mut self, champion: Option<Family>) {
        self.champion = self.champion.or(champion);
    }

    /// Ends a time in which `stand_in` made the forecasts: it goes on as the champion if lately it led on `next`, whose
    /// turn it would be, by as much as a challenger must.
    pub fn end_stand_in(&mut self, terms: &Terms, stand_in: Family, next: Family) {
        let lately = |family: Family| self.record(family).map_or([0.0; 2], |record| record.late);
        let [lead, loss] = lately(stand_in);
        let is_better = lead - lately(next)[0] > terms.lead_min * loss;
        if self.reigning == Some(stand_in) && self.recent_lead(next).is_some_and(|lead| lead < 0.0) && is_better {
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
            round.entries.retain(|entry| is_in(entry.who));
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
    fn settle(&mut self, terms: &Terms, round: &Round<Family>, (reigning, preferred): (Family, Option<Family>)) {
        if self.reigning.replace(reigning) != Some(reigning) {
            self.records.iter_mut().for_each(|record| record.recent = [0.0; 2]);
        }
        if self.preferred != preferred {
            self.preferred = preferred;
            let anew = |record: &mut Record| *record = Record { recent: record.recent, ..Record::default() };
            self.records.iter_mut().for_each(anew);
        }
        let loss_of = |family: Family| round.entries.iter().find(|e| e.who == family).and_then(Entry::mean_loss);
        let (held, expected) = (loss_of(reigning), preferred.and_then(loss_of));
        for entry in &round.entries {
            let Some(loss) = entry.mean_loss() else { continue };
            let place = entry.who as usize;
            self.records.resize(self.records.len().max(place + 1), Record::default());
            let record = &mut self.records[place];
            if let Some(held) = held {
                record.push_recent(held - loss, held);
            }
            if let Some(expected) = expected.filter(|_| Some(entry.who) != preferred) {
                record.push(terms, expected - loss, expected);
            }
        }
    }

    fn crown(&mut self, terms: &Terms) {
        let Some(preferred) = self.preferred else { return };
        let is_gone = |champion: Family| {
            champion == preferred || self.record(champion).is_some_and(|record| record.is_gone(terms))
        };
        self.champion = self.champion.filter(|champion| !is_gone(*champion));
        let challengers = self.records.iter().filter(|record| record.rounds > 0).count();
        let surprise = libm::logf(challengers as f32 / terms.luck_max);
        let winners = Family::ALL.into_iter().zip(&self.records).filter_map(|(family, record)| {
            let least = record.mean()? - record.by_chance(surprise)?;
            (family != preferred && least > 0.0 && record.wins(terms)).then_some((family, record.mean()?, least))
        });
        let Some((winner, _, least)) = winners.max_by(|a, b| a.1.total_cmp(&b.1)) else { return };
        let held = self.champion.and_then(|champion| self.record(champion));
        let is_ahead =
            held.is_none_or(|held| held.mean().is_none_or(|mean| least > mean + terms.lead_min * held.mean_loss()));
        if is_ahead {
            self.champion = Some(winner);
        }
    }

    fn record(&self, family: Family) -> Option<&Record> {
        self.records.get(family as usize)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let round = self.round.as_ref().map_or(0, Round::heap_bytes);
        round + self.records.capacity() * size_of::<Record>()
    }
}

impl Record {
    /// Takes in a round's lead on the preferred family, and what that one lost.
    fn push(&mut self, terms: &Terms, lead: f32, loss: f32) {
        let before = if self.rounds > 0 { self.newest } else { lead };
        let keep = kept(terms.half_life_rounds);
        let [sum, squares, products, weight, weight_squares] = self.lead;
        self.lead = [
            keep * sum + lead,
            keep * squares + lead * lead,
            keep * products + lead * before,
            keep * weight + 1.0,
            keep * keep * weight_squares + 1.0,
        ];
        self.loss = keep * self.loss + loss;
        self.newest = lead;
        self.rounds = self.rounds.saturating_add(1);
        add(&mut self.late, kept(terms.late_half_life_rounds), [lead, loss]);
    }

    fn push_recent(&mut self, lead: f32, loss: f32) {
        add(&mut self.recent, kept(RECENT_HALF_LIFE_ROUNDS), [lead, loss]);
    }

    /// Whether the lead is a good part of the loss, in the long run and lately, over enough rounds.
    fn wins(&self, terms: &Terms) -> bool {
        let [late, late_loss] = self.late;
        self.rounds >= terms.rounds_min
            && self.lead[0] > terms.lead_min * self.loss
            && late > terms.lead_min * late_loss
    }

    /// Whether the lead that there lately was is gone.
    fn is_gone(&self, terms: &Terms) -> bool {
        let [late, late_loss] = self.late;
        self.rounds >= ROUNDS_GRANTED && late <= terms.lead_kept_min * late_loss
    }

    /// The mean lead. `None` before there is any.
    fn mean(&self) -> Option<f32> {
        let [sum, _, _, weight, _] = self.lead;
        (self.rounds > 0).then(|| sum / weight)
    }

    /// The preferred family's mean loss in the rounds of the mean lead.
    fn mean_loss(&self) -> f32 {
        self.loss / self.lead[3]
    }

    /// What the mean lead may be where there is none, by a chance of at most exp(-`surprise`): Chernoff's bound of a
    /// normal distribution. `None` while that cannot be told.
    fn by_chance(&self, surprise: f32) -> Option<f32> {
        let mean = self.mean()?;
        let [_, squares, products, weight, weight_squares] = self.lead;
        let rounds = weight * weight / weight_squares;
        let variance = (squares / weight - mean * mean).max(0.0);
        let likeness = ((products / weight - mean * mean) / variance).clamp(0.0, LIKENESS_MAX);
        let inflation = if variance > 0.0 { (1.0 + likeness) / (1.0 - likeness) } else { 1.0 };
        let of_mean = variance * inflation / (rounds - 1.0);
        let bound = (2.0 * surprise * of_mean).sqrt();
        (rounds > 1.0 && bound.is_finite()).then_some(bound)
    }
}

/// What is left of a weight after a round.
fn kept(half_life_rounds: f32) -> f32 {
    libm::exp2f(-1.0 / half_life_rounds)
}

fn add(sums: &mut [f32; 2], keep: f32, these: [f32; 2]) {
    sums.iter_mut().zip(these).for_each(|(sum, this)| *sum = keep * *sum + this);
}

#[cfg(test)]
mod tests;
