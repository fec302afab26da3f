//! The section as its users write it.

use super::*;
use prescale_chassis::Loader;
use prescale_chassis::config::defaults_toml;
use prescale_domain::time::EventTime;
use std::path::Path;

fn read(text: &str) -> Result<Config, String> {
    let loader = Loader::from_text(Path::new("prescale.toml"), text, std::iter::empty()).map_err(|e| e.to_string())?;
    loader.section("collector").map_err(|e| e.to_string())
}

fn refused(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::default();
    change(&mut config);
    config.check().expect_err("it is out of range").to_string()
}

#[test]
fn the_defaults_are_good_and_can_be_printed() {
    Config::default().check().unwrap();
    let text = defaults_toml::<Config>("collector").unwrap();
    assert!(text.contains("[collector.fleet]") && text.contains("# speed = \"max\""), "{text}");
    assert_eq!(read(&text.replace("# ", "")), Ok(Config::default()));
}

#[test]
fn texts_and_numbers_are_read() {
    let config = read(
        "[collector.replay]\nspeed = 60\nfrom = 1375308000\nto = \"+1d\"\n\
         [collector.fleet]\nstart = \"2024-01-01T00:00:00Z\"\nuntil = \"+24h\"\n",
    )
    .unwrap();
    assert_eq!(config.replay.speed, Speed::Times(60.0));
    assert_eq!(config.replay.from, Moment::At(EventTime::from_s(1_375_308_000)));
    assert_eq!(config.replay.to.after(config.replay.from.after(None)), Some(EventTime::from_s(1_375_394_400)));
    assert_eq!(config.fleet.until, Moment::After { seconds: 86_400 });
    config.check().unwrap();
    for (text, key) in [
        ("speed = \"fast\"", "speed"),
        ("speed = 0", "speed"),
        ("from = \"yesterday\"", "from"),
        ("from = -1", "from"),
        ("to = \"+1y\"", "to"),
        ("to = \"+0d\"", "to"),
        ("to = \"+300\"", "to"),
    ] {
        let error = read(&format!("[collector.replay]\n{text}\n")).unwrap_err();
        assert!(error.starts_with(&format!("prescale.toml:2: [collector] replay.{key}: ")), "{error}");
    }
}

#[test]
fn a_table_that_no_input_has_is_refused_with_the_nearest_one() {
    let error = read("[collector.host]\nenabled = false\n[collector.flet]\nenabled = true\n").unwrap_err();
    assert_eq!(error, "prescale.toml:3: [collector] flet: unknown key, did you mean \"fleet\"?");
    let error = read("[collector.fleet]\nworkload = 7\n").unwrap_err();
    assert_eq!(error, "prescale.toml:2: [collector] fleet.workload: unknown key, did you mean \"workloads\"?");
}

#[test]
fn moments_and_speeds_are_written_as_they_are_read() {
    for text in ["", "2013-08-01T00:00:00.000Z", "+90s"] {
        assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
    }
    for text in ["max", "60", "0.5"] {
        assert_eq!(text.parse::<Speed>().unwrap().to_string(), text);
    }
    assert_eq!(Speed::Times(60.0).on_the_clock(120_000), std::time::Duration::from_secs(2));
}

#[test]
fn values_out_of_range_name_their_key() {
    assert!(refused(|c| c.host.every_s = 0).contains("[collector.host] every_s = 0"));
    assert!(refused(|c| c.host.name = "a b".to_owned()).contains("[collector.host] name"));
    assert!(refused(|c| c.replay.batch_samples_max = 0).contains("[collector.replay] batch_samples_max"));
    assert!(refused(|c| c.replay.sort_memory_bytes_max = 1).contains("sort_memory_bytes_max"));
    assert!(refused(|c| c.replay.from = Moment::After { seconds: 1 }).contains("[collector.replay] from"));
    assert!(refused(|c| c.replay.step_s = 86_401).contains("[collector.replay] step_s"));
    assert!(refused(|c| c.fleet.name = String::new()).contains("[collector.fleet] name"));
    assert!(refused(|c| c.fleet.workloads = 0).contains("[collector.fleet] workloads"));
    assert!(refused(|c| c.fleet.step_s = 0).contains("[collector.fleet] step_s"));
    assert!(refused(|c| c.fleet.feedback_s = 90).contains("[collector.fleet] feedback_s = 90"));
    assert!(refused(|c| c.fleet.history_s = u32::MAX).contains("[collector.fleet] history_s"));
    assert!(refused(|c| c.fleet.missing_values_share = f64::NAN).contains("missing_values_share"));
    assert!(refused(|c| c.fleet.until = Moment::After { seconds: 1 }).contains("needs a start"));
    let backwards = |c: &mut Config| {
        c.fleet.start = Moment::At(EventTime::from_s(100));
        c.fleet.until = Moment::At(EventTime::from_s(100));
    };
    assert!(refused(backwards).contains("[collector.fleet] until"));
}

#[test]
fn names_are_made_of_what_is_there() {
    assert_eq!(name_from("vms400_2013-07 (copy).parquet"), "vms400_2013-07__copy_.parquet");
}
