//! What is kept of a series until it is told how its forecasts did: sums, of the hours that were not told yet.
//!
//! They are of one model, the one that forecasts the series: where another takes over, it begins anew. A forecast belongs
//! to the hour of the bin that it is of.

use super::StatisticScore;
use crate::calibration::Statistic;
use crate::calibration::series::Judged;
use crate::forecast::champion::RoundLosses;
use crate::forecast::{Family, GRID_STEP_S};
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// Bins of an hour.
pub const HOUR_BINS: i64 = 3600 / GRID_STEP_S as i64;

/// Sums over the forecasts of one horizon and statistic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Sums {
    loss: f32,
    realised: f32,
    median: f32,
    scored: u8,
    judged: u8,
    held: u8,
}

/// What the sums are of.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Span {
    maker: Family,
    first_bin: i64,
    last_bin: i64,
    /// The oldest bin as of which one of the forecasts was made.
    oldest_origin: i64,
}

/// Rounds of the same families.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Rounds {
    /// The bin of the first.
    origin: i64,
    rounds: u8,
    /// Sums by family.
    losses: Box<[(Family, f32)]>,
}

/// What is kept of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Tally {
    span: Option<Span>,
    /// By horizon and [`Statistic`].
    sums: Box<[[Sums; 2]]>,
    rounds: Option<Box<Rounds>>,
}

/// How the forecasts of hours that are over did.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Whose forecasts.
    pub maker: Family,
    /// First hour since 1970.
    pub first_hour: i64,
    /// Last hour.
    pub last_hour: i64,
    /// The oldest bin as of which one of the forecasts was made.
    pub oldest_origin: i64,
    /// By horizon and [`Statistic`].
    pub scores: Vec<[Option<StatisticScore>; 2]>,
    /// What each family lost in the same rounds, if there were any.
    pub paired: Option<Paired>,
}

/// What families lost in the same rounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    /// The bin as of which all of them forecast in the first round.
    pub oldest_origin: i64,
    /// How many rounds.
    pub rounds: u32,
    /// Mean loss by family, in the unit of the demand.
    pub losses: Vec<(Family, f64)>,
}

/// A tally while a bin is closed.
pub struct Closing<'a> {
    tally: &'a mut Tally,
    bin: i64,
    serving: Option<(Family, i64)>,
    horizons_bins: &'a [usize],
}

impl Tally {
    /// Begins to take in what became of the forecasts of a bin. `serving` is whose forecasts count: a family, and the
    /// first bin as of which its model of now made them.
    pub fn closing<'a>(
        &'a mut self,
        bin: i64,
        serving: Option<(Family, i64)>,
        horizons_bins: &'a [usize],
    ) -> Closing<'a> {
        let is_theirs =
            |span: &Span| serving.is_some_and(|(family, since)| span.maker == family && span.oldest_origin >= since);
        if self.sums.len() != horizons_bins.len() || self.span.as_ref().is_some_and(|span| !is_theirs(span)) {
            (self.span, self.sums) = (None, vec![[Sums::default(); 2]; horizons_bins.len()].into());
        }
        Closing { tally: self, bin, serving, horizons_bins }
    }

    /// Takes in what was lost in a round.
    pub fn push_round(&mut self, round: &RoundLosses) {
        match self.rounds.as_mut().filter(|known| known.is_between_those_of(round) && known.rounds < u8::MAX) {
            Some(known) => {
                known.rounds += 1;
                known.losses.iter_mut().zip(&round.losses).for_each(|((_, sum), (_, loss))| *sum += loss);
            }
            None => {
                let rounds = Rounds { origin: round.bin, rounds: 1, losses: round.losses.as_slice().into() };
                self.rounds = Some(Box::new(rounds));
            }
        }
    }

    /// Takes out what there is to tell at an instant: what was scored, if its last hour is over.
    pub fn take_before(&mut self, at: EventTime) -> Option<Told> {
        let over = at.bin(GRID_STEP_S).div_euclid(HOUR_BINS);
        let span = self.span.take_if(|span| span.last_bin.div_euclid(HOUR_BINS) < over)?;
        let scores = self.sums.iter().map(|sums| sums.map(Sums::score)).collect();
        self.sums.fill([Sums::default(); 2]);
        let Span { maker, first_bin, last_bin, oldest_origin } = span;
        let (first_hour, last_hour) = (first_bin.div_euclid(HOUR_BINS), last_bin.div_euclid(HOUR_BINS));
        let paired = self.rounds.take().map(|rounds| rounds.paired());
        Some(Told { maker, first_hour, last_hour, oldest_origin, scores, paired })
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let rounds = self.rounds.as_ref().map_or(0, |rounds| size_of::<Rounds>() + size_of_val(&*rounds.losses));
        size_of_val(&*self.sums) + rounds
    }
}

impl Closing<'_> {
    /// Takes in what became of a forecast of the bin, by who made it, its horizon (the index) and its statistic.
    pub fn push(&mut self, (maker, horizon, statistic): (Family, usize, Statistic), judged: &Judged) {
        let Some(bins_ahead) = self.horizons_bins.get(horizon) else { return };
        let origin = self.bin - *bins_ahead as i64;
        if !self.serving.is_some_and(|(family, since)| family == maker && origin >= since) {
            return;
        }
        if !self.tally.sums[horizon][statistic as usize].push(judged) {
            return;
        }
        let new = Span { maker, first_bin: self.bin, last_bin: self.bin, oldest_origin: origin };
        let span = self.tally.span.get_or_insert(new);
        (span.last_bin, span.oldest_origin) = (self.bin, span.oldest_origin.min(origin));
    }
}

impl Sums {
    /// Whether there was room for it: of more than 255 forecasts the first are told.
    fn push(&mut self, judged: &Judged) -> bool {
        if self.scored == u8::MAX {
            return false;
        }
        self.loss += judged.loss as f32;
        self.realised += judged.realised as f32;
        self.median += judged.median as f32;
        self.scored += 1;
        self.judged += u8::from(judged.is_held.is_some());
        self.held += u8::from(judged.is_held == Some(true));
        true
    }

    /// `None` where nothing was scored, and where a number is beyond what 32 bits can say.
    fn score(self) -> Option<StatisticScore> {
        Some(StatisticScore {
            scored: self.scored.into(),
            pinball_loss: mean(self.loss, self.scored)?,
            realised: mean(self.realised, self.scored)?,
            median: mean(self.median, self.scored)?,
            judged: self.judged.into(),
            held: self.held.into(),
        })
    }
}

impl Rounds {
    fn is_between_those_of(&self, round: &RoundLosses) -> bool {
        self.losses.iter().map(|(family, _)| *family).eq(round.families())
    }

    fn paired(&self) -> Paired {
        let losses = self.losses.iter().filter_map(|(family, sum)| Some((*family, mean(*sum, self.rounds)?)));
        Paired { oldest_origin: self.origin, rounds: self.rounds.into(), losses: losses.collect() }
    }
}

/// In 32 bits; `None` where that is no number.
fn mean(sum: f32, count: u8) -> Option<f64> {
    let mean = f64::from(sum / f32::from(count));
    mean.is_finite().then_some(mean)
}
