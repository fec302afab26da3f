//! Whether a cloud as a whole does not answer. Pure.

use super::call::CallError;

/// So many calls in a row have to fail.
const FAILED_MIN: u32 = 3;

/// What the last calls came to.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    failed: u32,
}

/// What a call's end says of the cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing new.
    None,
    /// It does not answer any more, and what it said last.
    Begins(String),
    /// It answers again.
    Ends,
}

impl Outage {
    /// Takes in how a call ended.
    pub fn take(&mut self, ended: Result<(), &CallError>) -> Change {
        match ended {
            Err(error) if error.is_outage() => {
                self.failed = self.failed.saturating_add(1);
                if self.failed == FAILED_MIN { Change::Begins(error.to_string()) } else { Change::None }
            }
            _ => {
                let before = std::mem::take(&mut self.failed);
                if before >= FAILED_MIN { Change::Ends } else { Change::None }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_fail_in_a_row_are_an_outage_until_one_is_answered() {
        let down = CallError::Unavailable { why: "connection refused".to_owned() };
        let answered = CallError::Conflict { why: "changed".to_owned() };
        let mut outage = Outage::default();
        assert_eq!(outage.take(Err(&down)), Change::None);
        assert_eq!(outage.take(Err(&answered)), Change::None);
        let began: Vec<Change> = (0..4).map(|_| outage.take(Err(&down))).collect();
        let begins = Change::Begins("it cannot be used: connection refused".to_owned());
        assert_eq!(began, [Change::None, Change::None, begins, Change::None]);
        assert_eq!(outage.take(Ok(())), Change::Ends);
        assert_eq!(outage.take(Ok(())), Change::None);
    }
}
