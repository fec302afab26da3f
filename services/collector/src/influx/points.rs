//! Lines into points, and what is said of those that cannot be read. Pure.

use crate::formats::line_protocol::{BadLine, Precision, each_value, lines};
use crate::receiver::known::Known;
use crate::receiver::mapping::{Mapping, Read};
use crate::receiver::series::{FloatSample, SeriesOf};
use prescale_domain::time::EventTime;

/// Of so many bad lines it is said what is wrong.
const BAD_SAID_MAX: usize = 10;

/// What a body that came at `now` comes to; `None` where it has more points than one request may. Lines that cannot be
/// read count as refused samples.
pub(super) fn read(
    mapping: &Mapping,
    precision: Precision,
    body: &[u8],
    known: &mut Known,
    now: EventTime,
) -> Option<Read> {
    let (mut read, mut bad) = (Read::default(), Bad::default());
    for (_, line) in lines(body) {
        let line = match line {
            Ok(line) => line,
            Err(line) => {
                bad.add(line);
                continue;
            }
        };
        bad.others += 1;
        if !read.has_room_for(line.fields.len()) {
            return None;
        }
        each_value(&line, precision, now.as_ms(), |value| {
            let samples = vec![FloatSample::new(value.at_ms, value.value)];
            let series = SeriesOf { labels: value.labels.clone(), samples };
            mapping.take(&series, known, now, &mut read);
        });
    }
    bad.tell(&mut read);
    Some(read)
}

/// Lines that cannot be read.
#[derive(Default)]
struct Bad {
    said: Vec<BadLine>,
    count: u64,
    others: u64,
}

impl Bad {
    fn add(&mut self, line: BadLine) {
        self.count += 1;
        if self.said.len() < BAD_SAID_MAX {
            self.said.push(line);
        }
    }

    /// In InfluxDB's words, by which Telegraf knows that sending the same again is of no use.
    fn tell(self, read: &mut Read) {
        let Self { said, count, others } = self;
        read.refused += count;
        if read.refused == 0 {
            return;
        }
        let mut all: Vec<String> = said.iter().map(|line| format!("unable to parse {line}")).collect();
        if count > said.len() as u64 {
            all.push(format!("and {} lines more", count - said.len() as u64));
        }
        all.extend(read.why.take());
        let partial = if others > 0 { "partial write: " } else { "" };
        read.why = Some(format!("{partial}{}; dropped={}", all.join("; "), read.refused));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::preset::parsed;
    use prescale_domain::source::SourceName;

    const PRESET: &str = "about = \"\"\nworkload = \"{host}\"\nplatform = \"openstack\"\n[kpis.memory_bytes]\nquery = \"q\"\n\
                          [[series.memory_bytes]]\nmetric = \"mem_used\"\n";

    fn of(body: &str) -> Read {
        let mapping = Mapping::new(parsed(PRESET), SourceName::new("influx:test").unwrap(), 60);
        read(&mapping, Precision::Seconds, body.as_bytes(), &mut Known::new(10), EventTime::from_s(1000)).unwrap()
    }

    #[test]
    fn fields_that_the_preset_means_become_points() {
        let read = of("mem,host=a used=5i,free=7i,kind=\"ram\" 900\nmem,host=b used=6\n");
        let said: Vec<_> = read.points.iter().map(|p| (p.workload.as_str(), p.at.as_ms(), p.value)).collect();
        assert_eq!(said, [("a", 900_000, Some(5.0)), ("b", 1_000_000, Some(6.0))]);
        assert_eq!((read.samples, read.left_out, read.refused, read.why), (2, 1, 0, None));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line_and_the_rest_is_read() {
        let read = of("mem,host=a used=5 900\nmem,host=a used=x 900\nmem used=5 900\nmem,host=b used=5 99999\n");
        assert_eq!((read.points.len(), read.refused), (1, 3));
        let why = read.why.unwrap();
        assert!(why.starts_with("partial write: unable to parse line 2: a value is neither"), "{why}");
        assert!(why.contains("no label \"host\"") && why.ends_with("; dropped=3"), "{why}");
        let none = of("x\n").why.unwrap();
        assert!(none.starts_with("unable to parse line 1: it has no fields"), "{none}");
    }

    #[test]
    fn of_many_bad_lines_a_few_are_said() {
        let why = of(&"x\n".repeat(50)).why.unwrap();
        assert!(why.contains("line 10: ") && !why.contains("line 11: "), "{why}");
        assert!(why.contains("and 40 lines more") && why.contains("dropped=50"), "{why}");
    }
}
