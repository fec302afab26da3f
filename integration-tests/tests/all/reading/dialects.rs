//! How files are written: packed, encoded, separated, with and without a header, one or several.

use super::*;

const MAPPING: &str = "entity=vm,time=ts,cpu=cpu";

/// Six rows of `vmid,timestamp,avgcpu`, two VMs each 300 s, packed by gzip.
const GZIP: [u8; 68] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2b, 0xcb, 0xcd, 0x4c, 0xd1, 0x29, 0xc9, 0xcc, 0x4d,
    0x2d, 0x2e, 0x49, 0xcc, 0x2d, 0xd0, 0x49, 0x2c, 0x4b, 0x4f, 0x2e, 0x28, 0xe5, 0x4a, 0xd4, 0x31, 0xd0, 0x31, 0x34,
    0xe0, 0x4a, 0x02, 0x52, 0x46, 0x06, 0x40, 0x9e, 0xb1, 0x01, 0x94, 0x0f, 0x62, 0x80, 0x45, 0xcc, 0x60, 0x22, 0x66,
    0x10, 0x11, 0x00, 0xf6, 0x67, 0xff, 0xf6, 0x48, 0x00, 0x00, 0x00,
];

fn plain(separator: &str) -> String {
    lines(&["ts", "vm", "cpu"].join(separator), 20, |i| {
        [(START_S + 60 * i).to_string(), "größe".to_owned(), format!("1.{i:02}5")].join(separator)
    })
}

fn assert_plain(read: &Read, what: &str) {
    assert_eq!(read.report.samples_written, 20, "{what}");
    assert_eq!(read.cpu()[7], ("größe", START_S + 420, 1.075), "{what}");
}

#[test]
fn what_separates_fields_is_found() {
    for separator in [",", ";", "\t", "|", ";\t"] {
        assert_plain(&read(plain(separator), MAPPING), separator);
    }
    assert_plain(&read(plain("~"), &format!("separator=~,{MAPPING}")), "set");
    assert_plain(&read(format!("sep=;\r\n{}", plain(";").replace('\n', "\r\n")), MAPPING), "told");
}

#[test]
fn encodings_are_found() {
    let text = plain(",");
    assert_plain(&read(format!("\u{feff}{text}"), MAPPING), "UTF-8 with a mark");
    let utf16 =
        |bytes: fn(u16) -> [u8; 2]| format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    assert_plain(&read(utf16(u16::to_le_bytes), MAPPING), "UTF-16, little end first");
    assert_plain(&read(utf16(u16::to_be_bytes), MAPPING), "UTF-16, big end first");
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("it is Latin-1")).collect();
    let read = read(latin, MAPPING);
    assert_plain(&read, "Latin-1");
    assert!(read.note("Windows-1252").contains("20 lines"));
}

#[test]
fn packed_files_are_told_by_their_bytes_and_not_by_their_names() {
    for name in ["readings-1-of-9.csv.gz", "renamed.csv"] {
        let (_folder, path) = written(&GZIP, name);
        let read = read_path(&path, "entity=vmid,time=timestamp,cpu=avgcpu / 100.0").unwrap();
        assert_eq!(read.report.samples_written, 6, "{name}");
        assert_eq!(read.cpu()[1], ("b", 0, 0.2), "{name}");
    }
    let torn = refused(&GZIP[..40], "entity=vmid,time=timestamp,cpu=avgcpu");
    assert!(torn.contains("case.csv"), "{torn}");
    assert!(refused(b"PK\x03\x04 and so on", MAPPING).contains("ZIP archive"));
}

#[test]
fn fields_that_fit_no_header_are_refused_with_their_line() {
    let text = lines("t,count,max,mean,min,p95,mean_rate,rate_unit", 30, |i| {
        format!("{},{i},0,666575,0,880960,0,758969,0,922744,0,938004,calls/second", START_S + 60 * i)
    });
    let why = refused(text, "entity='svc',time=t,requests_per_s=mean");
    assert!(why.contains("line 2 has 13 fields where the header has 8"), "{why}");
    let open = refused("ts,vm,cpu\n0,\"a,1\n60,a,2\n120,a,3\n", MAPPING);
    assert!(open.contains("a quote is not closed"), "{open}");
}

#[test]
fn a_file_without_a_header_loses_no_row() {
    let text: String =
        (0..40).map(|i| format!("{},v{}/x==,5.{i:02},22.6,12.5{i:02}\n", 300 * (i / 2), i % 2)).collect();
    let numbered = read(&text, "entity=column_2,time=column_1,cpu=column_5 / 100.0");
    assert_eq!(numbered.report.samples_written, 40);
    assert!(numbered.note("no header").contains("\"column_1\""));
    let by_values = read(&text, "entity=\"v0/x==\",time=\"0\",cpu=\"12.500\" / 100.0");
    assert_eq!((by_values.report.rows_read, by_values.cpu()), (40, numbered.cpu()));
    let real: String =
        (0..30).map(|i| format!("edge-1,{}.40064597129821777344,0.4{i:02}\n", START_S + 60 * i)).collect();
    assert_eq!(read(&real, "header=no,entity=column_1,time=column_2,cpu=column_3").report.samples_written, 30);
}

#[test]
fn files_of_a_folder_are_one_trace_and_their_names_a_column() {
    let folder = tempfile::tempdir().unwrap();
    for vm in 1..=3 {
        let header = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\t\
                      Memory capacity provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s];\t\
                      Disk write throughput [KB/s];\tNetwork received throughput [KB/s];\t\
                      Network transmitted throughput [KB/s]";
        let text = lines(header, 12, |i| {
            format!(
                "{};\t4;\t11703.998;\t2426.9;\t2{vm}.5;\t16777216.0;\t5579131.0;\t2.2;\t1.0;\t2.5;\t2.2",
                1_376_000_104 + 300 * i
            )
        });
        std::fs::write(folder.path().join(format!("{vm}.csv")), text).unwrap();
    }
    let known = read_path(folder.path(), "").unwrap();
    assert_eq!(counts(&known.cpu()), BTreeMap::from([("vm-1", 12), ("vm-2", 12), ("vm-3", 12)]));
    assert_eq!(known.samples[0].at.as_ms() / 1000, 1_376_000_104, "the header says ms where seconds are");
    assert_eq!(known.cpu()[0].2, 21.5 / 100.0 * 4.0);
    let one = read_path(
        &folder.path().join("2.csv"),
        "entity='vm-1',time=\"Timestamp [ms]\",cpu=\"CPU usage [%]\" / 100.0 * \"CPU cores\"",
    );
    assert_eq!(one.unwrap().report.samples_written, 12);
    std::fs::write(folder.path().join("4.csv"), "other;columns\n1;2\n").unwrap();
    assert!(read_path(folder.path(), "").err().unwrap().contains("4.csv has other columns"));
}
