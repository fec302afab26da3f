//! Which actions have a result on the log, whoever wrote it: the stage answers them while a driver is off, so a driver that
//! is turned on must know.

use super::order::Order;
use anyhow::Result;
use prescale_bus::{Bus, BusError, CaughtUp, ConsumedRecord, ReadFrom};
use prescale_chassis::BusRetry;
use prescale_chassis::stage::ids_of;
use prescale_contracts::envelope::following_id;
use prescale_contracts::topics;
use std::collections::HashSet;
use std::time::Duration;

const PAGE_RECORDS: usize = 5_000;
const WAIT: Duration = Duration::from_millis(500);

/// The ids of the results that are on the log.
#[derive(Debug)]
pub struct Answered(HashSet<u128>);

impl Answered {
    /// Reads them; `None` when the shutdown comes first.
    ///
    /// # Errors
    /// When the bus refuses for good.
    pub fn read(bus: &dyn Bus, retry: &BusRetry) -> Result<Option<Self>> {
        let read = || -> Result<Option<Self>, BusError> {
            let (mut reader, mut ids) = (bus.reader(topics::ACTION_RESULTS, ReadFrom::Earliest)?, HashSet::new());
            while !retry.shutdown().is_cancelled() {
                retry.health().alive();
                let (records, caught_up) = reader.poll(PAGE_RECORDS, WAIT)?;
                ids.extend(records.iter().filter_map(id_of));
                if caught_up == CaughtUp::Yes {
                    return Ok(Some(Self(ids)));
                }
            }
            Ok(None)
        };
        Ok(retry.run(read)?.flatten())
    }

    /// Whether an action has its result.
    pub fn has(&self, order: &Order) -> bool {
        self.0.contains(&following_id(order.id(), crate::STAGE.stage, order.workload().as_str(), 0))
    }
}

fn id_of(record: &ConsumedRecord) -> Option<u128> {
    u128::from_str_radix(&ids_of(record).ok()?.0, 16).ok()
}
