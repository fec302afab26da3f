//! Values as people and tools write them, and those that are none.

use super::*;

#[test]
fn digits_in_groups_are_one_number() {
    let number = |i: i64| format!("1,{},992,142.283", 700 + i);
    let semicolons = lines("\"Series\";\"Time\";\"Value\"", 30, |i| {
        format!("\"mem web-a\";\"2024-03-04T11:{:02}:00+11:00\";{}", i, number(i))
    });
    let commas = lines("\"Series\",\"Time\",\"Value\"", 30, |i| {
        format!("\"mem web-a\",\"2024-03-04T11:{:02}:00+11:00\",\"{}\"", i, number(i))
    });
    for text in [semicolons, commas] {
        let read = read(text, "entity=Series,time=Time,memory=Value");
        assert_eq!(read.report.samples_written, 30);
        assert_eq!(read.values(MEMORY_BYTES)[5], ("mem web-a", START_S + 300, 1_705_992_142.283));
    }
}

#[test]
fn decimal_commas_are_found_or_asked_for() {
    let text = |value: fn(i64) -> String| lines("ts;vm;cpu", 20, |i| format!("{};a;{}", START_S + 60 * i, value(i)));
    let mapping = "entity=vm,time=ts,cpu=cpu";
    assert_eq!(read(text(|i| format!("1,{i:02}")), mapping).cpu()[7].2, 1.07);
    assert_eq!(read(text(|i| format!("1.234,{i:02}")), mapping).cpu()[7].2, 1234.07);
    let either = refused(text(|i| format!("1,{:03}", 100 + i)), mapping);
    assert!(either.contains("\"1,100\", line 2") && either.contains("decimal=comma"), "{either}");
    let set = read(text(|i| format!("1,{:03}", 100 + i)), &format!("decimal=comma,{mapping}"));
    assert_eq!(set.cpu()[0].2, 1.1);
}

#[test]
fn quantities_are_in_units_of_one() {
    let cpu = |i: i64| match i % 3 {
        0 => format!("{}m", 380 + i),
        1 => format!("{}n", (380 + i) * 1_000_000),
        _ => "1".to_owned(),
    };
    let memory = |i: i64| match i % 4 {
        0 => "614400Ki".to_owned(),
        1 => "600Mi".to_owned(),
        2 => "0.5859375Gi".to_owned(),
        _ => "629145600".to_owned(),
    };
    let text = lines("timestamp,namespace,pod,cpu,memory", 60, |i| {
        format!("2024-03-04T00:{i:02}:00Z,shop,cart-0,{},{}", cpu(i), memory(i))
    });
    let read = read(text, "entity=namespace || '/' || pod,time=timestamp,cpu=cpu,memory=memory");
    let cores = read.cpu();
    assert_eq!((cores.len(), cores[2]), (60, ("shop/cart-0", START_S + 120, 1.0)));
    assert!((cores[0].2 - 0.380).abs() < 1e-9 && (cores[1].2 - 0.381).abs() < 1e-9, "{cores:?}");
    assert!(read.values(MEMORY_BYTES).iter().all(|(_, _, bytes)| *bytes == 629_145_600.0));
    assert!(read.note("column \"cpu\"").contains("40 values have a unit, m n"));
}

#[test]
fn words_for_no_value_are_missing_and_counted() {
    let words = ["NaN", "null", "undefined", "", "-", "N/A", "+Inf", "None"];
    let cpu = |i: i64| match i % 12 {
        5 => words[(i / 12) as usize % words.len()].to_owned(),
        _ => format!("1.5{i:03}"),
    };
    let text = lines("Time,host,cpu,mem", 192, |i| format!("{},pay-1,{},2033071527", START_S + 60 * i, cpu(i)));
    for expression in ["cpu", "cpu / 100.0 * 100.0"] {
        let read = read(&text, &format!("entity=host,time=Time,cpu={expression},memory=mem"));
        assert_eq!((read.report.samples_written, read.cpu().len()), (192, 176), "{expression}");
        assert_eq!(read.values(MEMORY_BYTES).len(), 192, "{expression}");
        assert!(read.cpu().iter().all(|(_, _, cores)| *cores > 1.499), "{expression}");
        let note = read.note("column \"cpu\"");
        assert!(note.contains("16 of 192 values left out") && note.contains("\"NaN\", line 7"), "{note}");
    }
}

#[test]
fn differences_below_zero_are_numbers_that_the_stages_judge() {
    let milli = |i: i64| if i % 40 == 39 { "18446744073709551591".to_owned() } else { (30 + i % 5).to_string() };
    let text = lines("timestamp,pod,milli,mem", 120, |i| format!("{},api-7,{},210677126", START_S + 60 * i, milli(i)));
    for expression in ["milli / 1000.0", "try_cast(milli as double) / 1000.0"] {
        let read = read(&text, &format!("entity=pod,time=timestamp,cpu={expression},memory=mem"));
        let cores = read.cpu();
        assert_eq!((cores.len(), cores.iter().filter(|(_, _, cores)| *cores > 1e15).count()), (120, 3), "{expression}");
    }
}

#[test]
fn whole_percents_divide_to_shares() {
    let text = lines("ts,vm,pct,cores", 20, |i| format!("{},a,{},4", START_S + 60 * i, 50 + i));
    assert_eq!(read(text, "entity=vm,time=ts,cpu=pct / 100 * cores").cpu()[0].2, 2.0);
}

#[test]
fn a_column_of_words_is_no_kpi() {
    let text = lines("ts,vm,size", 20, |i| format!("{},a,{}", START_S + 60 * i, if i == 3 { "2" } else { "small" }));
    let why = refused(text, "entity=vm,time=ts,cpu=size");
    assert!(why.contains("kpis.cpu_cores_used") && why.contains("\"small\", line 2"), "{why}");
}
