//! The text of a file: unpacked where it is packed, and as UTF-8 where it is UTF-16.

use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

/// So much of a file tells how it is packed and encoded.
const HEAD_BYTES: u64 = 4096;
/// Where packed data can be told from text.
const READ_BYTES: usize = 64 << 10;

/// What a file begins with that cannot be read, and what it is.
const OTHERS: [(&[u8], &str); 6] = [
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet: unpack it, or export it as CSV"),
    (b"BZh", "compressed with bzip2: unpack it with bunzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz: unpack it with unxz"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4: unpack it with unlz4"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet of Excel: export it as CSV"),
];

/// Whether a file is Parquet, by its first bytes.
///
/// # Errors
/// When it cannot be read.
pub(in crate::replay) fn is_parquet(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut head)?;
    Ok(head == b"PAR1")
}

/// Opens the text of a file, as UTF-8 or as an encoding of one byte a character, without a mark of byte order.
///
/// # Errors
/// When it cannot be read, or is no text.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    opened(path).with_context(|| format!("[collector.replay] file = \"{}\"", path.display()))
}

fn opened(path: &Path) -> Result<Box<dyn Read>> {
    let (head, packed) = head_of(File::open(path).context("it cannot be read")?)?;
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        bail!("it is {what}");
    }
    let unpacked: Box<dyn Read> = if head.starts_with(b"\x1f\x8b") {
        Box::new(flate2::read::MultiGzDecoder::new(packed))
    } else if head.starts_with(b"\x28\xb5\x2f\xfd") {
        Box::new(zstd::Decoder::new(packed).context("it cannot be unpacked")?)
    } else {
        packed
    };
    let (head, mut text) = head_of(unpacked)?;
    let mark = |bytes: &[u8]| head.starts_with(bytes).then_some(bytes.len());
    let order = if mark(b"\xff\xfe").is_some() {
        Some(Order::LittleEndian)
    } else if mark(b"\xfe\xff").is_some() {
        Some(Order::BigEndian)
    } else {
        Order::without_mark(&head)
    };
    let skipped = [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].into_iter().find_map(mark).unwrap_or(0);
    io::copy(&mut (&mut text).take(skipped as u64), &mut io::sink())?;
    match order {
        Some(order) => Ok(Box::new(Utf16 { from: text, order, high: None, ready: Vec::new(), given: 0 })),
        None if head.contains(&0) => {
            bail!("it holds bytes that are no text: CSV (plain, gzip or zstd) and Parquet can be read")
        }
        None => Ok(text),
    }
}

/// The first bytes, and all bytes.
fn head_of(mut from: impl Read + 'static) -> Result<(Vec<u8>, Box<dyn Read>)> {
    let mut head = Vec::new();
    (&mut from).take(HEAD_BYTES).read_to_end(&mut head).context("it cannot be read")?;
    let all = Cursor::new(head.clone()).chain(from);
    Ok((head, Box::new(BufReader::with_capacity(READ_BYTES, all))))
}

/// A text whose lines end with a line feed, whatever they end with in the file, so that they can be counted. A line can
/// only be so long: a quote that is never closed would take the rest of the file into memory.
pub(super) struct Lines {
    text: Box<dyn Read>,
    /// Bytes that the line may still take.
    left: usize,
    /// Whether the last byte was a carriage return, which a line feed may belong to.
    is_after_return: bool,
}

const LINE_BYTES_MAX: usize = 16 << 20;

impl Lines {
    /// Of a text.
    pub(super) fn of(text: Box<dyn Read>) -> Self {
        Self { text, left: LINE_BYTES_MAX, is_after_return: false }
    }

    /// The next line begins.
    pub(super) fn begin(&mut self) {
        self.left = LINE_BYTES_MAX;
    }

    /// Puts a line feed in place of each carriage return, with the line feed behind it where there is one; gives how
    /// many bytes remain.
    fn end_with_line_feeds(&mut self, bytes: &mut [u8]) -> usize {
        if !self.is_after_return && !bytes.contains(&b'\r') {
            return bytes.len();
        }
        let mut remaining = 0;
        for place in 0..bytes.len() {
            let byte = bytes[place];
            let is_of_return = byte == b'\n' && self.is_after_return;
            self.is_after_return = byte == b'\r';
            if !is_of_return {
                bytes[remaining] = if byte == b'\r' { b'\n' } else { byte };
                remaining += 1;
            }
        }
        remaining
    }
}

impl Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("the line has more than 16 MiB, so a quote is not closed there"));
        }
        let most = into.len().min(self.left);
        loop {
            let read = self.text.read(&mut into[..most])?;
            let remaining = self.end_with_line_feeds(&mut into[..read]);
            // Nothing remains of a lone line feed, and that would be taken for the end.
            if remaining > 0 || read == 0 {
                self.left -= remaining;
                return Ok(remaining);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    LittleEndian,
    BigEndian,
}

impl Order {
    /// Of UTF-16 without a mark: nearly every other byte of Latin letters, digits and signs is zero.
    fn without_mark(head: &[u8]) -> Option<Self> {
        let zeros_at = |place: usize| head.iter().skip(place).step_by(2).filter(|byte| **byte == 0).count();
        let (high_first, low_first, pairs) = (zeros_at(0), zeros_at(1), head.len() / 2);
        let most = |zeros: usize| pairs > 0 && 10 * zeros >= 8 * pairs;
        match (most(high_first), most(low_first)) {
            (true, false) => Some(Self::BigEndian),
            (false, true) => Some(Self::LittleEndian),
            _ => None,
        }
    }
}

/// UTF-16 as UTF-8.
struct Utf16 {
    from: Box<dyn Read>,
    order: Order,
    /// The first half of a character that has two.
    high: Option<u16>,
    ready: Vec<u8>,
    /// So many of `ready` are given.
    given: usize,
}

impl Utf16 {
    /// Makes more bytes ready; none at the end.
    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        (&mut self.from).take(HEAD_BYTES).read_to_end(&mut bytes)?;
        self.ready.clear();
        self.given = 0;
        let units = bytes.chunks_exact(2).map(|pair| match self.order {
            Order::LittleEndian => u16::from_le_bytes([pair[0], pair[1]]),
            Order::BigEndian => u16::from_be_bytes([pair[0], pair[1]]),
        });
        let mut units: Vec<u16> = self.high.take().into_iter().chain(units).collect();
        let is_last = (bytes.len() as u64) < HEAD_BYTES;
        if !is_last && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            self.high = units.pop();
        }
        let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        self.ready = text.into_bytes();
        Ok(())
    }
}

impl Read for Utf16 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.fill()?;
        }
        let mut left = &self.ready[self.given..];
        let read = left.read(into)?;
        self.given += read;
        Ok(read)
    }
}

/// A field as text: UTF-8, or else Windows-1252, which every byte has a character in.
pub(super) fn text_of(field: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(field) {
        Ok(text) => text.into(),
        Err(_) => field.iter().map(|byte| windows_1252(*byte)).collect::<String>().into(),
    }
}

fn windows_1252(byte: u8) -> char {
    const FROM_80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => FROM_80[usize::from(byte - 0x80)],
        byte => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const TEXT: &str = "ts,vm,größe\n1,a,2\n";

    fn read(bytes: &[u8]) -> Result<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut text = Vec::new();
        open(file.path())?.read_to_end(&mut text)?;
        Ok(text_of(&text).into_owned())
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn text_is_the_same_however_it_is_packed_and_encoded() {
        assert_eq!(read(TEXT.as_bytes()).unwrap(), TEXT);
        assert_eq!(read(&[b"\xef\xbb\xbf", TEXT.as_bytes()].concat()).unwrap(), TEXT);
        assert_eq!(read(&zstd::encode_all(TEXT.as_bytes(), 1).unwrap()).unwrap(), TEXT);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(TEXT.as_bytes()).unwrap();
        assert_eq!(read(&gzip.finish().unwrap()).unwrap(), TEXT);
        assert_eq!(read(&utf16(TEXT, u16::to_le_bytes)).unwrap(), TEXT);
        assert_eq!(read(&utf16(&format!("\u{feff}{TEXT}"), u16::to_le_bytes)).unwrap(), TEXT);
        assert_eq!(read(&utf16(&format!("\u{feff}{TEXT}"), u16::to_be_bytes)).unwrap(), TEXT);
        let long = format!("{}😀{TEXT}", "x".repeat(2047));
        assert_eq!(read(&utf16(&long, u16::to_le_bytes)).unwrap(), long, "a character that two reads share");
        assert_eq!(text_of(b"gr\xf6\xdfe \x80"), "größe €");
    }

    #[test]
    fn a_line_that_never_ends_takes_no_more_memory() {
        let mut lines = Lines::of(Box::new(io::repeat(b'x')));
        for _ in 0..3 {
            lines.begin();
            assert_eq!(lines.read(&mut [0; 1000]).unwrap(), 1000);
        }
        let read = io::copy(&mut lines, &mut io::sink()).unwrap_err();
        assert!(read.to_string().contains("a quote is not closed"));
    }

    #[test]
    fn lines_end_with_a_line_feed_whatever_they_end_with() {
        for bytes_at_once in [1, 2, 3, 100] {
            let mut lines = Lines::of(Box::new(io::Cursor::new(b"a\r\nb\rc\n\nd\r\r\n".to_vec())));
            let (mut text, mut some) = (Vec::new(), vec![0; bytes_at_once]);
            loop {
                let read = lines.read(&mut some).unwrap();
                if read == 0 {
                    break;
                }
                text.extend_from_slice(&some[..read]);
            }
            assert_eq!(text, b"a\nb\nc\n\nd\n\n", "{bytes_at_once} at once");
        }
    }

    #[test]
    fn what_is_no_text_is_named() {
        let why = |bytes: &[u8]| format!("{:#}", read(bytes).unwrap_err());
        assert!(why(b"PK\x03\x04rest").contains("ZIP archive"));
        assert!(why(b"BZh91AY").contains("bunzip2"));
        assert!(why(b"\x01\x02\x00\x03text\x00").contains("no text"));
    }
}
