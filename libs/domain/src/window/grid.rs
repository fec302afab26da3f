//! How a window is cut, by its length and the sampling step.

/// Most values kept of a short window.
pub const SHORT_SLOTS_MAX: i64 = 360;

/// Blocks of the short window over which means are kept.
pub const SHORT_BLOCKS: usize = 12;

/// Cells of the long window over which means are kept.
pub const LONG_CELLS: usize = 168;

/// Lengths of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSettings {
    short_window_s: u32,
    long_window_s: u32,
}

/// Why lengths cannot be windows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowSettingsError {
    /// The short window does not divide.
    #[error("short_window_s = {0}: it must be a multiple of 12 s, from 60 to 86400 s")]
    Short(u32),
    /// The long window does not divide.
    #[error("long_window_s = {0}: it must be a multiple of 168 s, from 3528 to 31449600 s; 604800 is seven days")]
    Long(u32),
    /// The long window is the shorter one.
    #[error("long_window_s = {long_window_s} is less than short_window_s = {short_window_s}: swap them")]
    Swapped {
        /// Short window.
        short_window_s: u32,
        /// Long window.
        long_window_s: u32,
    },
}

impl WindowSettings {
    /// Checks the lengths.
    ///
    /// # Errors
    /// When one cannot be cut into its blocks, or they are swapped.
    pub fn new(short_window_s: u32, long_window_s: u32) -> Result<Self, WindowSettingsError> {
        if !(60..=86_400).contains(&short_window_s) || !short_window_s.is_multiple_of(SHORT_BLOCKS as u32) {
            return Err(WindowSettingsError::Short(short_window_s));
        }
        if !(3528..=31_449_600).contains(&long_window_s) || !long_window_s.is_multiple_of(LONG_CELLS as u32) {
            return Err(WindowSettingsError::Long(long_window_s));
        }
        if long_window_s < short_window_s {
            return Err(WindowSettingsError::Swapped { short_window_s, long_window_s });
        }
        Ok(Self { short_window_s, long_window_s })
    }

    /// Length of the short window, in seconds.
    pub fn short_window_s(&self) -> u32 {
        self.short_window_s
    }

    /// Length of the long window, in seconds.
    pub fn long_window_s(&self) -> u32 {
        self.long_window_s
    }

    /// The grid of samples so far apart; `step_s` is at least 1.
    pub fn grid(&self, step_s: u32) -> Grid {
        let (step_s, short_s) = (i64::from(step_s.max(1)), i64::from(self.short_window_s));
        let slots_wanted = (short_s / step_s).max(1);
        let slot_s = step_s * ((slots_wanted + SHORT_SLOTS_MAX - 1) / SHORT_SLOTS_MAX);
        Grid { step_s, slot_s, short_s, long_s: i64::from(self.long_window_s) }
    }
}

/// The windows on the grid of one sampling step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    step_s: i64,
    slot_s: i64,
    short_s: i64,
    long_s: i64,
}

impl Grid {
    /// Sampling step, in seconds.
    pub fn step_s(&self) -> i64 {
        self.step_s
    }

    /// Width of a slot of the short window: one step, or several where there would be too many.
    pub fn slot_s(&self) -> i64 {
        self.slot_s
    }

    /// Slots of the short window.
    pub fn slots(&self) -> usize {
        (self.short_s / self.slot_s).max(1) as usize
    }

    /// From a slot's start to the middle of its samples, in seconds.
    pub fn slot_offset_s(&self) -> f64 {
        (self.slot_s - self.step_s) as f64 / 2.0
    }

    /// Width of a block of the short window.
    pub fn block_s(&self) -> i64 {
        self.short_s / SHORT_BLOCKS as i64
    }

    /// Width of a pane of the long window.
    pub fn pane_s(&self) -> i64 {
        self.long_s / super::LONG_PANES
    }

    /// Width of a cell of the long window.
    pub fn cell_s(&self) -> i64 {
        self.long_s / LONG_CELLS as i64
    }

    /// From a cell's start to the middle of its samples, in seconds.
    pub fn cell_offset_s(&self) -> f64 {
        (self.cell_s() - self.step_s).max(0) as f64 / 2.0
    }

    /// Samples that the long window ending at `at_s` would have if none were missing.
    pub fn long_places(&self, at_s: i64) -> u64 {
        let start_s = (at_s.div_euclid(self.pane_s()) - super::LONG_PANES) * self.pane_s();
        let first_bin = (start_s + self.step_s - 1).div_euclid(self.step_s);
        u64::try_from(at_s.div_euclid(self.step_s) - first_bin + 1).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_grid_keeps_each_value_and_a_second_grid_averages_ten() {
        let settings = WindowSettings::new(3600, 604_800).unwrap();
        let minute = settings.grid(60);
        assert_eq!((minute.slot_s(), minute.slots(), minute.block_s()), (60, 60, 300));
        assert_eq!((minute.pane_s(), minute.cell_s()), (86_400, 3600));
        let second = settings.grid(1);
        assert_eq!((second.slot_s(), second.slots()), (10, 360));
        assert_eq!(minute.long_places(7 * 86_400), 10_081);
        assert_eq!(minute.long_places(8 * 86_400 - 60), 8 * 1440);
    }

    #[test]
    fn lengths_that_cannot_be_cut_are_refused() {
        assert_eq!(WindowSettings::new(3601, 604_800), Err(WindowSettingsError::Short(3601)));
        assert_eq!(WindowSettings::new(3600, 604_801), Err(WindowSettingsError::Long(604_801)));
        assert!(matches!(WindowSettings::new(7200, 3528), Err(WindowSettingsError::Swapped { .. })));
    }
}
