//! Tables of other layouts than a row for each workload and instant, doubled rows and jitter.

use super::*;

#[test]
fn rows_of_one_metric_each_become_one_sample() {
    let metrics = [("cpu_cores", "1.25"), ("mem_bytes", "3100000000"), ("net_rx", "211994")];
    let text = lines("name,host,time,value", 3 * 2 * 20, |i| {
        let ((name, value), host, step) = (metrics[(i % 3) as usize], i / 3 % 2, i / 6);
        format!("{name},db-{host},2024-03-04T00:{step:02}:00Z,{value}")
    });
    let mapping = "entity=host,time=time,cpu=case when name = 'cpu_cores' then value end,\
                   memory=case when name = 'mem_bytes' then value end";
    let read = read(text, mapping);
    assert_eq!(counts(&read.cpu()), BTreeMap::from([("db-0", 20), ("db-1", 20)]));
    assert_eq!(read.values(MEMORY_BYTES).len(), 40);
    assert_eq!((read.report.samples_written, read.report.rows_joined, read.dropped("no_kpis")), (40, 40, 40));
    let note = "40 rows no_kpis: the first is line 4, none of the KPIs of the mapping has a value there";
    assert_eq!(read.report.notes, [note], "and nothing else was left out");
}

#[test]
fn a_kpi_that_no_row_has_is_told() {
    let text = lines("name,host,time,value", 20, |i| format!("cpu_cores,db-1,{},1.25", START_S + 60 * i));
    let mapping = "entity=host,time=time,cpu=case when name = 'cpu_cores' then value end,\
                   memory=case when name = 'mem_byte' then value end";
    assert!(read(text, mapping).note("memory_bytes").contains("no row has a value"));
}

#[test]
fn columns_of_workloads_become_rows() {
    let header = (0..40).fold("Time".to_owned(), |text, vm| text + &format!(",vm-{vm:03}"));
    let text = lines(&header, 30, |i| {
        let values = (0..40).map(|vm| format!(",0.{vm:02}{i:02}")).collect::<String>();
        format!("2024-03-04T00:{i:02}:00Z{values}")
    });
    let why = refused(&text, "");
    assert!(why.contains("layout=columns,entity=column"), "{why}");
    let one = read(&text, "entity='vm-007',time=Time,cpu=\"vm-007\"");
    assert_eq!((one.report.samples_written, one.cpu()[3]), (30, ("vm-007", START_S + 180, 0.0703)));
    let all = read(&text, "layout=columns,entity=column,time=Time,cpu=value");
    assert_eq!((all.report.samples_written, counts(&all.cpu()).len()), (1200, 40));
    assert!(all.cpu().contains(&("vm-007", START_S + 180, 0.0703)));
}

#[test]
fn performance_counters_are_read() {
    let name = |host: i64| format!("\"\\\\SRV{host:02}\\Processor Information({host},{host})\\% Processor Time\"");
    let header = (0..9).fold("\"(PDH-CSV 4.0) (UTC)(0)\"".to_owned(), |text, host| text + "," + &name(host));
    let text = lines(&header, 30, |i| {
        let value = if i == 0 { "\" \"".to_owned() } else { format!("\"2{}.166315\"", i % 10) };
        format!("\"03/04/2024 00:{i:02}:00.000\"{}\r", format!(",{value}").repeat(9))
    });
    let time = "time=to_timestamp(\"(PDH-CSV 4.0) (UTC)(0)\", '%m/%d/%Y %H:%M:%S%.f')";
    for cpu in [name(7), format!("try_cast({} as double)", name(7))] {
        let read = read(&text, &format!("entity='SRV07',{time},cpu={cpu} / 100.0 * 4"));
        assert_eq!((read.report.samples_written, read.dropped("no_kpis")), (29, 1), "{cpu}");
    }
    let all = "layout=columns,entity=column,time=\"(PDH-CSV 4.0) (UTC)(0)\",time_form=%m/%d/%Y %H:%M:%S%.f,cpu=value";
    assert_eq!(read(&text, all).report.samples_written, 9 * 29);
}

#[test]
fn two_servers_of_the_same_targets_are_noticed() {
    let text = lines("ts,workload,replica,cpu", 60, |i| {
        format!("2024-03-04T00:{:02}:00Z,api,prom-{},1.{:03}", i / 2, i % 2, 100 + 13 * (i % 2))
    });
    let first = read(&text, "entity=workload,time=ts,cpu=cpu");
    assert_eq!((first.report.samples_written, first.dropped("doubled"), first.report.rows_differing), (30, 30, 30));
    assert!(first.cpu().iter().all(|(_, _, cores)| *cores == 1.1), "the first of each instant");
    assert_eq!(first.cpu(), read(&text, "entity=workload,time=ts,cpu=cpu").cpu());
}

#[test]
fn jitter_about_the_minute_leaves_a_sample_in_each_step() {
    let jitter_ms = |i: i64| (i * 7919 % 2400) - 1200;
    let text = lines("ts,host,cpu", 600, |i| {
        let at_ms = 1000 * (START_S + 60 * (i / 2)) + jitter_ms(i);
        format!("{at_ms},edge-{},0.9", i % 2)
    });
    let read = read(text, "entity=host,time=ts,time_unit=ms,cpu=cpu");
    for host in ["edge-0", "edge-1"] {
        let of_host = read.samples.iter().filter(|sample| sample.workload.as_str() == host);
        let bins: Vec<i64> = of_host.map(|sample| sample.at.bin(60)).collect();
        assert_eq!(bins.len(), 300);
        assert!(bins.windows(2).all(|pair| pair[1] == pair[0] + 1), "{host}: {bins:?}");
    }
}
