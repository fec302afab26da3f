//! Running OpenStack's driver: a runtime for its calls, a session, and beside it a look after what was left behind.

use super::api::Api;
use super::config::{GroupConfig, OpenStackConfig};
use super::driver::{OpenStackDriver, untouched};
use super::group::Group;
use super::leftovers::abandoned;
use super::plan::Rules;
use super::{NAME, SOURCE};
use crate::drive::book::Limits;
use crate::drive::call::CallError;
use crate::drive::session::{self, Clock, Setup, system_clock};
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prescale_bus::Bus;
use prescale_chassis::Context;
use prescale_contracts::rfc3339;
use prescale_openstack::client::Client;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Threads for what is asynchronous; calls block threads of their own, as many as may be under way.
const THREADS: usize = 2;
/// Who was fenced waits so long before it opens the source again: another one calls the cloud meanwhile.
const FENCED_PAUSE: Duration = Duration::from_secs(60);
/// What was left behind is looked for so often.
const SWEPT_EVERY: Duration = Duration::from_secs(60);

/// Carries out the actions on OpenStack until the shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(config: &OpenStackConfig, context: &Context, bus: &dyn Bus, stop: &CancellationToken) -> Result<()> {
    config.check()?;
    let health = context.health.component(SOURCE);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(config.calls_in_flight_max.saturating_add(1))
        .thread_name(NAME)
        .enable_all()
        .build()
        .context("cannot start the threads that call OpenStack")?;
    let call_deadline = Duration::from_secs(config.call_deadline_s.into());
    let api = Api::new(Client::new(config.cloud()?, call_deadline)?);
    let driver = Arc::new(OpenStackDriver::new(api.clone(), rules(config)?));
    let limits = Limits {
        calls_in_flight_max: config.calls_in_flight_max,
        calls_per_s_max: config.calls_per_s_max,
        settle_s: config.settle_s,
    };
    let clock = system_clock();
    while !stop.is_cancelled() {
        let term = stop.child_token();
        let sweeping = runtime.spawn(sweep(api.clone(), Arc::clone(&clock), config.settle_s, term.clone()));
        let setup = Setup {
            cloud: NAME,
            source: SOURCE,
            limits: limits.clone(),
            call_deadline,
            bus,
            health: health.clone(),
            runtime: runtime.handle(),
            clock: Arc::clone(&clock),
        };
        let ended = session::run(&driver, &setup, &term);
        term.cancel();
        runtime.block_on(sweeping).context("looking after what was left behind panicked")?;
        session::after(ended, "OpenStack", &health, stop, FENCED_PAUSE)?;
    }
    health.failed("stopped");
    runtime.shutdown_background();
    Ok(())
}

fn rules(config: &OpenStackConfig) -> Result<Rules> {
    let group = |(workload, config): (&String, &GroupConfig)| -> Result<(String, Group)> {
        let user_data = config.user_data()?.map(|data| BASE64_STANDARD.encode(data));
        Ok((workload.clone(), Group { config: config.clone(), user_data }))
    };
    let groups = config.groups.iter().map(group).collect::<Result<_>>()?;
    Ok(Rules { resize: config.resize, windows: config.windows()?, groups })
}

/// Again and again brings to an end what no action looks after any more.
async fn sweep(api: Api, clock: Clock, settle_s: u32, term: CancellationToken) {
    // What is open is taken up by the session first.
    while tokio::time::timeout(SWEPT_EVERY, term.cancelled()).await.is_err() {
        // By then an action that was carried out has had its time.
        let until = rfc3339(clock().at.plus_s(-2 * i64::from(settle_s)));
        if let Err(error) = sweep_once(&api, &until).await {
            tracing::warn!("what was left behind at OpenStack cannot be looked for: {error}");
        }
    }
}

async fn sweep_once(api: &Api, until: &str) -> Result<(), CallError> {
    for server in untouched(api, until).await? {
        let Some(request) = abandoned(&server) else { continue };
        tracing::warn!(
            server = server.id,
            workload = server.workload.as_deref().unwrap_or_default(),
            "nobody has looked after it for long: {} {} {}",
            request.method.name(),
            request.path,
            request.body
        );
        match api.write(&request).await {
            // Somebody else has.
            Ok(()) | Err(CallError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
