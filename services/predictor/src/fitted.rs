//! The families of one series whose parameters are fitted anew once a day. Each keeps history of its
//! own, so a series holds a family's state only while it is in use.

use crate::joined::begin;
use bitcode::{Decode, Encode};
use prescale_domain::forecast::arima::{Arima, Filtered};
use prescale_domain::forecast::demand::{ClosedBin, DemandSeries};
use prescale_domain::forecast::mstl::{Decomposed, Mstl};
use prescale_domain::forecast::prophet::{Prophet, Remembered};
use prescale_domain::forecast::{Family, Forecaster, HorizonQuantiles};

/// What they remember of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Fitted {
    mstl: Option<Box<Decomposed>>,
    arima: Option<Box<Filtered>>,
    prophet: Option<Box<Remembered>>,
}

impl Fitted {
    /// Of a series that begins.
    pub fn starting() -> Self {
        Self { mstl: Some(Box::default()), arima: Some(Box::default()), prophet: Some(Box::default()) }
    }

    /// Begins the state of one of the families where there is none. Whether it did.
    pub fn begin(&mut self, family: Family) -> bool {
        match family {
            Family::Mstl => begin(&mut self.mstl),
            Family::Arima => begin(&mut self.arima),
            Family::Prophet => begin(&mut self.prophet),
            _ => false,
        }
    }

    /// Takes a bin in that is about to be closed.
    pub fn close(&mut self, demand: &DemandSeries, closed: &ClosedBin) {
        if let Some(state) = &mut self.mstl {
            Mstl.close(state, demand, closed);
        }
        if let Some(state) = &mut self.arima {
            Arima.close(state, demand, closed);
        }
        if let Some(state) = &mut self.prophet {
            Prophet.close(state, demand, closed);
        }
    }

    /// Drops the states of all families but those.
    pub fn retain(&mut self, is_in_use: impl Fn(Family) -> bool) {
        self.mstl.take_if(|_| !is_in_use(Family::Mstl));
        self.arima.take_if(|_| !is_in_use(Family::Arima));
        self.prophet.take_if(|_| !is_in_use(Family::Prophet));
    }

    /// What [`Forecaster::forecast`] of a family gives; `None` also for one that is none of these.
    pub fn forecast(&self, family: Family, demand: &DemandSeries, bins: &[usize]) -> Option<Vec<HorizonQuantiles>> {
        match family {
            Family::Mstl => Mstl.forecast(self.mstl.as_ref()?, demand, bins),
            Family::Arima => Arima.forecast(self.arima.as_ref()?, demand, bins),
            Family::Prophet => Prophet.forecast(self.prophet.as_ref()?, demand, bins),
            _ => None,
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let mstl = self.mstl.as_ref().map_or(0, |state| size_of::<Decomposed>() + state.heap_bytes());
        let arima = self.arima.as_ref().map_or(0, |state| size_of::<Filtered>() + state.heap_bytes());
        let prophet = self.prophet.as_ref().map_or(0, |state| size_of::<Remembered>() + state.heap_bytes());
        mstl + arima + prophet
    }
}
