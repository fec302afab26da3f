//! What tests of the receivers share: one that runs while it is asked.

use crate::config::Config;
use crate::event::Event;
use crate::inputs::Launch;
use anyhow::Result;
use prescale_bus::Bus;
use prescale_chassis::Context;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Lets `ask` ask a receiver that `run` runs at its URL.
pub(crate) fn receiving(bus: &dyn Bus, config: &Config, run: fn(&Launch<'_>) -> Result<()>, ask: impl FnOnce(&str)) {
    let (stop, context) = (CancellationToken::new(), Context::default());
    let (tell, told) = sync_channel(1);
    let observe = |event: Event| {
        if let Event::RemoteWriteListens { url } | Event::OtlpListens { url } | Event::InfluxListens { url } = event {
            let _ = tell.send(url);
        }
    };
    std::thread::scope(|threads| {
        let launch = Launch { config, context: &context, bus, stop: &stop, observe: &observe };
        let running = threads.spawn(move || run(&launch));
        let stops = stop.clone().drop_guard();
        ask(&told.recv_timeout(Duration::from_secs(60)).unwrap());
        drop(stops);
        running.join().unwrap().unwrap();
    });
}
