//! A test by betting (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting"; of forecasts,
//! Choe and Ramdas 2024, "Comparing Sequential Forecasters").
//!
//! One who believes that numbers are above 0 on the mean stakes a part of what he has on each, before he sees it. While they
//! are not, whatever came before, he gains nothing in the long run, and his capital ever reaches x times what he began with
//! with a probability of at most 1 / x (Ville 1939). So it may be looked at after each number, and a test that stops when it
//! reaches x is wrong once in x. The stake is the one that would have gained most so far (aGRAPA, there).

use bitcode::{Decode, Encode};

/// Most of the capital that is staked on a number: none can take all.
pub const STAKE_MAX: f64 = 0.9;

/// The mean square of the numbers is taken for this before there are any.
const SQUARE_EXPECTED: f64 = 0.25;

/// What is staked against that numbers from -1 to 1 are not above 0 on the mean, given all before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Bet {
    numbers: u32,
    sum: f64,
    squares: f64,
    /// Natural logarithm of the capital, which is 1 at first.
    log_capital: f64,
}

impl Bet {
    /// Takes in a number; one beyond -1 or 1 counts as that, one that is none as 0.
    pub fn push(&mut self, number: f64) {
        let number = if number.is_nan() { 0.0 } else { number.clamp(-1.0, 1.0) };
        self.log_capital += libm::log1p(self.stake() * number);
        self.numbers = self.numbers.saturating_add(1);
        self.sum += number;
        self.squares += number * number;
    }

    /// Decimal logarithm of the capital, which is the e-value of what came so far.
    pub fn log10_e(&self) -> f64 {
        self.log_capital * std::f64::consts::LOG10_E
    }

    fn stake(&self) -> f64 {
        (self.sum / (SQUARE_EXPECTED + self.squares)).clamp(0.0, STAKE_MAX)
    }
}
