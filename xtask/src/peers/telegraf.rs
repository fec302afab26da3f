//! Telegraf, which writes what it sends to a file as well.

use super::go;
use super::prescale::{LATENESS_S, Prescale};
use super::sending::{Turns, with_kills};
use super::values::{Values, compare};
use crate::given::Given;
use crate::process::{Program, free_address};
use anyhow::{Context as _, Result};
use std::fs;
use std::process::Command;
use std::time::Duration;

const MODULE: &str = "github.com/influxdata/telegraf@v1.37.2";
const TAGS: &str = "custom,inputs.cpu,inputs.mem,outputs.file,outputs.influxdb,serializers.influx";
const HOST: &str = "peer";
/// Telegraf's own interval, in seconds, at which it also flushes.
const INTERVAL_S: u64 = 10;
/// Of the measurement `cpu`, the fields of which the preset makes cores in use.
const IN_USE: [&str; 7] =
    ["usage_user", "usage_system", "usage_nice", "usage_irq", "usage_softirq", "usage_guest", "usage_guest_nice"];

/// Telegraf's InfluxDB output with its default settings.
pub(super) fn test(given: &Given) -> Result<()> {
    let module = go::copied(MODULE)?;
    let program = module.join("built/telegraf");
    go::build(&module, &program, "./cmd/telegraf", TAGS)?;
    let folder = go::folder(MODULE)?.join("run");
    let address = free_address()?;
    let sections =
        format!("[collector.influx]\nlisten = \"{address}\"\npreset = \"telegraf\"\nstep_s = {INTERVAL_S}\n");
    let mut prescale = Prescale::start(&given.binary()?, &folder, LATENESS_S, &sections, Some(address))?;
    let (stored, config) = (folder.join("sent.influx"), folder.join("telegraf.conf"));
    let text = format!(
        "[agent]\nhostname = \"{HOST}\"\n[[inputs.cpu]]\n[[inputs.mem]]\n\
         [[outputs.influxdb]]\nurls = [\"http://{address}\"]\n[[outputs.file]]\nfiles = [{:?}]\n",
        stored.display().to_string()
    );
    fs::write(&config, text)?;
    let mut command = Command::new(&program);
    command.arg("--config").arg(&config);
    let mut sender = Program::new(command, folder.join("telegraf.log"));
    let interval = Duration::from_secs(INTERVAL_S);
    let turns = Turns { both: 4 * interval, alone: 2 * interval, on_its_way: 2 * interval };
    let on_its_way = with_kills(&mut prescale, &mut sender, &turns)?;
    let sent = of_lines(&fs::read_to_string(&stored).context("Telegraf has written nothing")?);
    let log = prescale.end()?;
    compare("Telegraf, points", &sent, &log.points, |at_ms| on_its_way.contains(&at_ms))?;
    let last_ms = log.samples.span_ms().context("no samples were made")?.1;
    let whole = sent.only(|place| place.at_ms <= last_ms && !place.measured.starts_with("capacity.")).sums();
    // The first time after a start it says nothing of CPU.
    let samples = log.samples.without_carried(&whole);
    compare("Telegraf, samples", &whole, &samples, |at_ms| on_its_way.contains(&at_ms))
}

/// What is to be on the log, by lines that Telegraf has written.
fn of_lines(text: &str) -> Values {
    let mut values = Values::default();
    // A line that was being written when Telegraf was killed has no end.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let [series, fields, at_ns] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
        let Ok(at_ns) = at_ns.parse::<i64>() else { continue };
        let is_of_all_cores = series.contains("cpu=cpu-total");
        for (field, value) in fields.split(',').filter_map(|field| field.split_once('=')) {
            let Ok(value) = value.trim_end_matches(['i', 'u']).parse::<f64>() else { continue };
            let mut put = |measured: &str, value: f64| values.put(HOST, measured, at_ns.div_euclid(1_000_000), value);
            match (series.split(',').next(), field) {
                (Some("cpu"), _) if is_of_all_cores => (),
                (Some("cpu"), "usage_idle") => put("capacity.cpu_cores", 1.0),
                (Some("cpu"), field) if IN_USE.contains(&field) => put("cpu_cores_used", value * 0.01),
                (Some("mem"), "total") => {
                    put("memory_bytes", value);
                    put("capacity.memory_bytes", value);
                }
                (Some("mem"), "available") => put("memory_bytes", -value),
                _ => (),
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_read_from_telegrafs_own_file() {
        let text = "cpu,cpu=cpu0,host=peer usage_idle=60,usage_user=25,usage_iowait=15 1700000000000000000\n\
                    cpu,cpu=cpu-total,host=peer usage_idle=60,usage_user=25 1700000000000000000\n\
                    mem,host=peer total=8i,available=3i,free=2i 1700000010000000000\n\
                    mem,host=peer total=8i";
        let mut wanted = Values::default();
        wanted.put(HOST, "capacity.cpu_cores", 1_700_000_000_000, 1.0);
        wanted.put(HOST, "cpu_cores_used", 1_700_000_000_000, 0.25);
        for (measured, value) in [("memory_bytes", 8.0), ("memory_bytes", -3.0), ("capacity.memory_bytes", 8.0)] {
            wanted.put(HOST, measured, 1_700_000_010_000, value);
        }
        assert_eq!(of_lines(text), wanted);
    }
}
