//! Running the console: threads that read, a server that shows.

use crate::config::Config;
use crate::follow::{Follower, Shared};
use crate::http::{self, Door, Explainer, Server};
use crate::view::{Bounds, View};
use anyhow::{Context as _, Result};
use prescale_bus::Bus;
use prescale_chassis::Named;
use prescale_chassis::telemetry::Metrics;
use prescale_chassis::{Context, listen};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Open connections may take so long to end.
const DRAIN: Duration = Duration::from_secs(2);

/// Checks that the console's address is free, and leaves it so: for whoever starts more than the console, and would take
/// another process' place on the bus before the console fails.
///
/// # Errors
/// When the address is out of range or cannot be bound.
pub fn ensure_free(config: &Config) -> Result<()> {
    listening(config.checked_address()?).map(drop)
}

fn listening(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}: set [console] listen to a free address"))
}

/// Runs the console until `shutdown`, showing the context's stages and explaining decisions by the planner's section and
/// what the planner reads of others; `bound` is told the address once it is listened on, which `[console] listen` leaves
/// open where its port is 0. Blocks.
///
/// # Errors
/// When a setting is out of range or the address cannot be bound.
pub fn run_reporting(
    config: &Config,
    (planner, named): (&prescale_planner::Config, Named<'_>),
    context: &Context,
    bus: Arc<dyn Bus>,
    shutdown: &CancellationToken,
    bound: impl FnOnce(SocketAddr),
) -> Result<()> {
    let address = config.checked_address()?;
    let decided_by = (planner.rules(named.groups)?, prescale_chassis::fleets(named.fleets)?);
    let tls = config.tls.read("console.tls")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("console http")
        .enable_all()
        .build()
        .context("cannot start the console's runtime")?;
    let listener = listening(address)?;
    let address = listener.local_addr().context("the console's listener has no address")?;
    let stop = shutdown.child_token();
    let bounds = Bounds { workloads_max: config.workloads_max, points_max: config.points_max };
    let shared = Arc::new(Shared::new(View::new(bounds)));
    let follower = Follower {
        bus: Arc::clone(&bus),
        shared: shared.clone(),
        context: context.clone(),
        shutdown: stop.clone(),
        runtime: runtime.handle().clone(),
        history_records: config.history_records,
    };
    let threads = follower.start().context("cannot start the console's readers")?;
    let explainer = Explainer::new(Arc::clone(&bus), decided_by, config.history_records, &stop);
    let server = Server::new(shared, Door::of(config)).with_bus(bus, &stop).with_explainer(explainer);
    let app = http::router(server, context.health.clone(), Metrics::install().ok());
    context.health.component("console").ready();
    bound(address);
    let served = runtime.block_on(listen::serve(listener, tls, app, &stop, DRAIN));
    // The threads use the runtime: they end before it does, also after a failure.
    stop.cancel();
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a reader of the console panicked");
        }
    }
    served
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_taken_is_told_and_a_free_one_stays_free() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config { listen: held.local_addr().unwrap().to_string(), ..Config::default() };
        let taken = ensure_free(&config).unwrap_err().to_string();
        assert!(taken.contains(&config.listen) && taken.contains("[console] listen"), "{taken}");
        drop(held);
        ensure_free(&config).unwrap();
        TcpListener::bind(&config.listen).unwrap();
    }
}
