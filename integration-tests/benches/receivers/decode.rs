//! Decoding alone: the receiver's reader against prost's plain types, over the same bytes, in turn.

use crate::message::{WriteRequest, series};
use prescale_collector::received::{Decoded, decode_remote_write};
use prost::Message as _;
use std::time::{Duration, Instant};

const SERIES: usize = 10_000;
const ROUNDS: usize = 51;

pub(crate) fn run() {
    let message = request().encode_to_vec();
    println!("decoding a request of {SERIES} series, {} KB, median of {ROUNDS} rounds", message.len() / 1000);
    let (mut own, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (of_own, took) = timed(|| decode_remote_write(&message).expect("it is a message"));
        own.push(took);
        let (of_prost, took) = timed(|| decoded_by_prost(&message));
        plain.push(took);
        assert_eq!(of_own, of_prost, "both read the same");
    }
    let (own, plain) = (median(own), median(plain));
    for (name, took) in [("the receiver's reader", own), ("prost's plain types", plain)] {
        let each_ns = took.as_nanos() / SERIES as u128;
        println!("{name:<24} {:>8.2} ms {each_ns:>6} ns a series", took.as_secs_f64() * 1e3);
    }
    println!("{:<24} {:>8.2} times as fast\n", "", plain.as_secs_f64() / own.as_secs_f64());
}

/// Series as node_exporter and Prometheus label them.
fn request() -> WriteRequest {
    let timeseries = (0..SERIES).map(|number| {
        let (instance, cpu) = (format!("10.0.{}.{}:9100", number / 256, number % 256), (number % 64).to_string());
        let labels = [
            ("__name__", "node_cpu_seconds_total"),
            ("cluster", "eu-central-1"),
            ("cpu", cpu.as_str()),
            ("environment", "production"),
            ("instance", instance.as_str()),
            ("job", "node-exporter"),
            ("mode", "user"),
        ];
        series(&labels, 1_700_000_000_000, number as f64 * 0.25)
    });
    WriteRequest { timeseries: timeseries.collect() }
}

fn decoded_by_prost(message: &[u8]) -> Decoded {
    let request = WriteRequest::decode(message).expect("it is a message");
    let mut decoded = Decoded::default();
    for series in &request.timeseries {
        decoded.series += 1;
        let bytes = series.labels.iter().map(|label| (label.name.len() + label.value.len()) as u64);
        decoded.label_bytes += bytes.sum::<u64>();
        decoded.samples += series.samples.len() as u64;
        decoded.sum += series.samples.iter().map(|sample| sample.value).sum::<f64>();
    }
    decoded
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let made = work();
    (made, began.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
