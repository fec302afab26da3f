//! Numbers in 16 bits each, at equal distances: half the memory of 32-bit floats. It must not know what they are.
//!
//! The distance is a power of two and follows from the least and the greatest of the numbers that are held together. A
//! number is off by one such step at most, which is less than a 30,000th of what lies between the two; whole numbers that
//! lie close enough together, 0 among them, stay what they are.

use bitcode::{Decode, Encode};

/// Stands for no number.
pub(crate) const NONE: u16 = u16::MAX;

/// Of the greatest number of a grid.
const CODE_MAX: u16 = NONE - 1;

/// By how many bits a 32-bit float tells apart what is of its size.
const MANTISSA_BITS: i16 = 23;

/// Binary logarithm of the finest step: numbers are told apart as 32-bit floats do from 1e-31 on.
const STEP_LOG2_MIN: i16 = i8::MIN as i16;

/// After so many numbers it is seen whether a finer grid would do: what was far from the others may have left.
const FIT_EVERY: u8 = 24;

/// Equally distant numbers, a code of 16 bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Grid {
    /// The least number, in steps.
    first: i32,
    /// Binary logarithm of the step.
    step_log2: i8,
}

impl Grid {
    /// The finest one that holds all finite numbers from `least` to `greatest`; not finer than 32 bits tell.
    pub(crate) fn over(least: f32, greatest: f32) -> Self {
        let (least, greatest) = (f64::from(least), f64::from(greatest));
        let range = greatest - least;
        let finest = exponent(least.abs().max(greatest.abs())) - MANTISSA_BITS;
        let mut step_log2 = finest.max(exponent(range) - 15).max(STEP_LOG2_MIN) as i8;
        let ends = |step_log2: i8| [least, greatest].map(|end| (end / power_of_two(step_log2)).round() as i32);
        let [mut from, mut to] = ends(step_log2);
        if to - from > i32::from(CODE_MAX) {
            step_log2 += 1;
            [from, to] = ends(step_log2);
        }
        // Of the codes that are left over, half lie below and half above.
        Self { first: from - (i32::from(CODE_MAX) - (to - from)) / 2, step_log2 }
    }

    /// Of the nearest number; `None` outside the grid.
    pub(crate) fn code(self, value: f32) -> Option<u16> {
        let code = (f64::from(value) / power_of_two(self.step_log2)).round() - f64::from(self.first);
        (0.0..=f64::from(CODE_MAX)).contains(&code).then_some(code as u16)
    }

    /// The number of a code.
    pub(crate) fn value(self, code: u16) -> f32 {
        let value = f64::from(self.first + i32::from(code)) * power_of_two(self.step_log2);
        value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
    }
}

/// Binary logarithm of a number that is not below 0, rounded down; of 0 less than that of any 32-bit float.
fn exponent(value: f64) -> i16 {
    (value.to_bits() >> 52) as i16 - 1023
}

fn power_of_two(exponent: i8) -> f64 {
    f64::from_bits(((1023 + i64::from(exponent)) as u64) << 52)
}

/// Numbers that are kept and come back all together.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Block {
    grid: Grid,
    codes: Box<[u16]>,
}

impl Block {
    /// Of finite numbers. What comes back of it makes the same block.
    pub fn of(numbers: &[f32]) -> Self {
        let numbers = numbers.iter().map(|number| number.clamp(f32::MIN, f32::MAX));
        let (least, greatest) = (numbers.clone().fold(f32::MAX, f32::min), numbers.clone().fold(f32::MIN, f32::max));
        if least > greatest {
            return Self::default();
        }
        let grid = Grid::over(least, greatest);
        Self { grid, codes: numbers.map(|number| grid.code(number).unwrap_or(NONE)).collect() }
    }

    /// As they came, or off by a step.
    pub fn numbers(&self) -> Vec<f32> {
        self.codes.iter().map(|code| self.grid.value(*code)).collect()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.codes)
    }
}

/// Numbers in their order on a grid of their own.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(crate) struct Scaled {
    /// The parts of the [`Grid`].
    first: i32,
    step_log2: i8,
    /// Numbers to come until the grid is fitted anew.
    until_fit: u8,
    /// Where the first place is; those before it come last.
    head: u16,
    codes: Vec<u16>,
}

impl Scaled {
    /// Places, those without a number included.
    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }

    /// Places that there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.codes.capacity()
    }

    /// Makes room for so many places more.
    pub(crate) fn reserve_exact(&mut self, more: usize) {
        self.codes.reserve_exact(more);
    }

    /// Adds a place; NaN for none. There are at most 65,535.
    pub(crate) fn push(&mut self, value: f32) {
        self.codes.rotate_left(usize::from(self.head));
        self.head = 0;
        self.codes.push(NONE);
        self.set(self.codes.len() - 1, value);
    }

    /// Takes the first place away and adds one without a number at the end.
    pub(crate) fn turn(&mut self) {
        if let Some(code) = self.codes.get_mut(usize::from(self.head)) {
            *code = NONE;
            self.head = if usize::from(self.head) + 1 < self.codes.len() { self.head + 1 } else { 0 };
        }
    }

    /// The number at a place.
    pub(crate) fn get(&self, place: usize) -> Option<f32> {
        let code = (place < self.codes.len()).then(|| self.codes[self.index(place)])?;
        (code != NONE).then(|| self.grid().value(code))
    }

    /// Puts a number at a place that there is; NaN for none.
    pub(crate) fn set(&mut self, place: usize, value: f32) {
        let (index, value) = (self.index(place), value.clamp(f32::MIN, f32::MAX));
        self.codes[index] = NONE;
        if value.is_nan() {
            return;
        }
        if self.until_fit == 0 || self.grid().code(value).is_none() {
            self.fit_with(value);
        }
        self.until_fit -= 1;
        self.codes[index] = self.grid().code(value).unwrap_or(NONE);
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.codes.capacity() * size_of::<u16>()
    }

    /// Of a place that there is, in [`Self::codes`].
    fn index(&self, place: usize) -> usize {
        let index = usize::from(self.head) + place;
        if index < self.codes.len() { index } else { index - self.codes.len() }
    }

    fn grid(&self) -> Grid {
        Grid { first: self.first, step_log2: self.step_log2 }
    }

    /// Moves all to the grid that fits them and a number that comes. One that is finer holds what the one before held
    /// as it was, so rounding does not add up.
    fn fit_with(&mut self, value: f32) {
        self.until_fit = FIT_EVERY;
        let before = self.grid();
        let held = self.codes.iter().filter(|code| **code != NONE).map(|code| before.value(*code));
        let (least, greatest) = held.fold((value, value), |(least, greatest), v| (least.min(v), greatest.max(v)));
        let grid = Grid::over(least, greatest);
        let holds = |end: f32| before.code(end).is_some();
        if grid.step_log2 == before.step_log2 && holds(least) && holds(greatest) {
            return;
        }
        for code in self.codes.iter_mut().filter(|code| **code != NONE) {
            *code = grid.code(before.value(*code)).unwrap_or(NONE);
        }
        (self.first, self.step_log2) = (grid.first, grid.step_log2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Most that a number among these may be off by.
    fn step_of(values: &[f32]) -> f64 {
        let of = |f: fn(f32, f32) -> f32| values.iter().copied().reduce(f).map_or(0.0, f64::from);
        let (least, greatest) = (of(f32::min), of(f32::max));
        (greatest - least) / 30_000.0 + f64::from(f32::EPSILON) * least.abs().max(greatest.abs())
    }

    fn numbers() -> impl Strategy<Value = f32> {
        let any = prop_oneof![-1e38f32..1e38, -1.0f32..1.0, Just(0.0f32), Just(1e-30f32), 7e9f32..8e9];
        prop_oneof![4 => any, 1 => Just(f32::NAN)]
    }

    proptest! {
        #[test]
        fn each_is_off_by_a_step_at_most(
            values in prop_oneof![
                prop::collection::vec(numbers(), 1..200),
                prop::collection::vec(7e9f32..8e9, 1..200),
                prop::collection::vec(-1e-6f32..1e-6, 1..200),
            ],
            room in 1usize..60,
        ) {
            let (mut ring, mut in_place) = (Scaled::default(), Scaled::default());
            for (number, value) in values.iter().enumerate() {
                if ring.len() == room {
                    ring.turn();
                    ring.set(room - 1, *value);
                    in_place.set(number % room, *value);
                } else {
                    ring.push(*value);
                    in_place.push(*value);
                }
            }
            let first = values.len().saturating_sub(room);
            let known: Vec<f32> = values.iter().copied().filter(|value| !value.is_nan()).collect();
            prop_assert_eq!(ring.len(), values.len() - first);
            for (number, wanted) in values.iter().enumerate().skip(first) {
                for got in [ring.get(number - first), in_place.get(number % room)] {
                    prop_assert_eq!(got.is_none(), wanted.is_nan());
                    let off = got.map_or(0.0, |got| (f64::from(got) - f64::from(*wanted)).abs());
                    prop_assert!(off <= step_of(&known), "{:?} for {}", got, wanted);
                }
            }
            let restored: Scaled = bitcode::decode(&bitcode::encode(&ring)).unwrap();
            prop_assert_eq!(&restored, &ring);
            prop_assert_eq!((ring.get(room), ring.heap_bytes()), (None, 2 * ring.capacity()));
        }

        #[test]
        fn a_block_comes_back_and_changes_no_more(numbers in prop::collection::vec(-1.0f32..1.0, 0..100), unit in 1e-9f32..1e9) {
            let numbers: Vec<f32> = numbers.iter().map(|number| number * unit).collect();
            let back = Block::of(&numbers).numbers();
            prop_assert_eq!(back.len(), numbers.len());
            for (got, wanted) in back.iter().zip(&numbers) {
                prop_assert!(f64::from(got - wanted).abs() <= step_of(&numbers), "{} for {}", got, wanted);
            }
            prop_assert_eq!(Block::of(&back).numbers(), back);
        }

        /// Another unit that is a power of two changes no digit.
        #[test]
        fn whole_numbers_stay_and_units_change_nothing(values in prop::collection::vec(-9000i16..9000, 1..300)) {
            let (mut plain, mut large) = (Scaled::default(), Scaled::default());
            for value in &values {
                plain.push(f32::from(*value));
                large.push(f32::from(*value) * 1024.0);
            }
            for (place, value) in values.iter().enumerate() {
                prop_assert_eq!(plain.get(place), Some(f32::from(*value)));
                prop_assert_eq!(large.get(place), Some(f32::from(*value) * 1024.0));
            }
        }
    }

    #[test]
    fn what_was_far_from_the_others_makes_them_coarse_until_it_has_left() {
        let mut ring = Scaled::default();
        let mut off = Vec::new();
        for value in std::iter::once(1e6).chain((0..60).map(|i| 0.1 + 0.01 * (i % 10) as f32)) {
            if ring.len() == 10 {
                ring.turn();
                ring.set(9, value);
            } else {
                ring.push(value);
            }
            off.push((ring.get(ring.len() - 1).unwrap() - value).abs());
        }
        assert!(off[1..9].iter().all(|off| *off > 1e-3), "{off:?}");
        assert!(off[40..].iter().all(|off| *off < 1e-5), "{off:?}");
    }

    #[test]
    fn a_constant_is_what_it_was_and_gaps_are_none() {
        let mut ring = Scaled::default();
        [f32::NAN, 7.3, f32::NAN, 7.3].into_iter().for_each(|value| ring.push(value));
        assert_eq!((0..4).map(|place| ring.get(place)).collect::<Vec<_>>(), [None, Some(7.3), None, Some(7.3)]);
        ring.set(1, f32::NAN);
        assert_eq!(ring.get(1), None);
        ring.push(f32::INFINITY);
        assert_eq!(ring.get(4).map(|most| most > 3e38), Some(true));
        ring.turn();
        ring.push(1.0);
        assert_eq!((ring.len(), ring.get(1), ring.get(2).is_some(), ring.get(4)), (6, None, true, None));
        assert_eq!(size_of::<Scaled>(), 32);
    }
}
