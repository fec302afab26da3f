//! Instants in any unit and form.

use super::*;

/// 2019-06-20T06:30:00Z, in seconds.
const JUNE_S: i64 = 1_561_012_200;

/// The word after `time_unit=` in a message.
fn advised(why: &str) -> &str {
    let (_, rest) = why.rsplit_once("time_unit=").unwrap_or_else(|| panic!("no unit is advised: {why}"));
    rest.split_whitespace().next().unwrap_or_default()
}

/// Seconds since 1970 in another unit.
type FromS = fn(i64) -> i64;

#[test]
fn a_wrong_unit_is_refused_with_the_right_one() {
    let filetime = |s: i64| (s + 11_644_473_600) * 10_000_000;
    let units: [(&str, FromS); 4] =
        [("ms", |s| s * 1000), ("us", |s| s * 1_000_000), ("ns", |s| s * 1_000_000_000), ("filetime", filetime)];
    for (unit, of) in units {
        let text = lines("tags,time,value", 60, |i| format!("h{},{},0.8{i:02}", i % 2, of(JUNE_S + 60 * i)));
        for wrong in ["auto", "s", "ms", "us", "ns", "filetime"].into_iter().filter(|wrong| *wrong != unit) {
            let why = refused(&text, &format!("entity=tags,time=time,time_unit={wrong},cpu=value"));
            assert_eq!(advised(&why), unit, "{unit} as {wrong}: {why}");
        }
        let read = read(&text, &format!("entity=tags,time=time,time_unit={unit},cpu=value"));
        assert_eq!(read.report.samples_written, 60, "{unit}");
        assert_eq!(read.cpu()[59], ("h1", JUNE_S + 59 * 60, 0.859), "{unit}");
    }
}

#[test]
fn days_before_months_are_refused_with_their_form_and_read_in_it() {
    let text = lines("\"Entity\",\"Timestamp\",\"Value\"", 48, |i| {
        let (hour, half) = (if i / 2 % 12 == 0 { 12 } else { i / 2 % 12 }, if i < 24 { "AM" } else { "PM" });
        format!("\"esx-vm-11\",\"11/14/2022 {hour}:{:02}:00 {half}\",\"15.9\"\r", 30 * (i % 2))
    });
    let why = refused(&text, "entity=Entity,time=Timestamp,cpu=Value / 100.0 * 4");
    assert!(why.contains("11/14/2022 12:00:00 AM") && why.contains("time_form=%m/%d/%Y %I:%M:%S %p"), "{why}");
    for mapping in [
        "entity=Entity,time=Timestamp,time_form=%m/%d/%Y %I:%M:%S %p,cpu=Value / 100.0 * 4",
        "entity=Entity,time=to_timestamp(\"Timestamp\", '%m/%d/%Y %I:%M:%S %p'),cpu=Value / 100.0 * 4",
    ] {
        let read = read(&text, mapping);
        let instants: Vec<i64> = read.cpu().iter().map(|(_, at_s, _)| *at_s).collect();
        let wanted: Vec<i64> = (0..48).map(|i| 1_668_384_000 + 1800 * i).collect();
        assert_eq!(instants, wanted, "{mapping}");
    }
}

#[test]
fn offsets_blanks_and_any_order_are_one_time() {
    let offsets = [("Z", 0), ("+01:00", 3600), ("-07:00", -25_200), ("+05:30", 19_800)];
    let text = lines("InstanceId,Timestamp,Average", 96, |i| {
        // Each of the 96 once, in no order.
        let nth = i * 29 % 96;
        let (zone, offset_s) = offsets[(i % 4) as usize];
        let of_day = (300 * nth + offset_s).rem_euclid(86_400);
        let day = 4 + (300 * nth + offset_s).div_euclid(86_400);
        let between = if i % 3 == 0 { ' ' } else { 'T' };
        format!("i-0a1,2024-03-{day:02}{between}{:02}:{:02}:00{zone},17.0", of_day / 3600, of_day / 60 % 60)
    });
    let read = read(text, "entity=InstanceId,time=Timestamp,cpu=Average / 100.0 * 2");
    let instants: Vec<i64> = read.cpu().iter().map(|(_, at_s, _)| *at_s).collect();
    assert_eq!(instants, (0..96).map(|i| START_S + 300 * i).collect::<Vec<_>>());
    assert_eq!(read.samples[0].step_s, 300);
}

/// Local times around the end of summer time in 2023: from 00:00 on 29 October, with 02:00 to 02:59 twice.
fn local(i: i64) -> String {
    let minutes = 5 * i - if i >= 36 { 60 } else { 0 };
    format!("2023-10-29 {:02}:{:02}:00", minutes / 60, minutes % 60)
}

#[test]
fn the_hour_that_is_there_twice_needs_a_zone() {
    let text = lines("time,vm,cpu", 60, |i| format!("{},office-1,0.3{i:02}", local(i)));
    let without = read(&text, "entity=vm,time=time,cpu=cpu");
    assert_eq!(
        (without.report.samples_written, without.dropped("doubled"), without.report.rows_differing),
        (48, 12, 12)
    );
    assert!(without.note("UTC").contains("zone=Europe/Berlin"));
    let with = read(&text, "zone=Europe/Berlin,entity=vm,time=time,cpu=cpu");
    let wanted: Vec<_> = (0..60).map(|i| ("office-1", 1_698_530_400 + 300 * i, 0.3 + 0.001 * i as f64)).collect();
    assert_eq!(with.report.samples_written, 60);
    assert!(with.cpu().iter().zip(&wanted).all(|(a, b)| a.1 == b.1 && (a.2 - b.2).abs() < 1e-9), "{:?}", with.cpu());
    let zones = lines("time,vm,cpu", 60, |i| {
        let zone = if i < 36 { "+02:00" } else { "+01:00" };
        format!("{}{zone},office-1,0.5", local(i).replace(' ', "T"))
    });
    assert_eq!(read(zones, "entity=vm,time=time,cpu=cpu").report.samples_written, 60);
}

#[test]
fn a_few_instants_that_are_none_cost_their_rows_and_are_told() {
    let text = lines("ts,vm,cpu", 40, |i| match i {
        7 => "soon,a,1.5".to_owned(),
        _ => format!("{},a,1.5", START_S + 60 * i),
    });
    for (text, line) in [(text.clone(), 9), (text.replace('\n', "\r\n"), 9), (text.replace("soon", "\n\nsoon"), 11)] {
        let read = read(text, "entity=vm,time=ts,cpu=cpu");
        assert_eq!((read.report.samples_written, read.dropped("no_instant")), (39, 1));
        assert!(read.note("column \"ts\"").contains(&format!("\"soon\", line {line}")));
    }
}
