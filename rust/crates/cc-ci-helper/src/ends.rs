//! Beginning and end of what a program writes, however long it is; of packed data, those of what it holds.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use flate2::bufread::MultiGzDecoder;
use serde_json::json;

use crate::fault::Fault;

/// Bytes of beginning and end: the last line of a dump and what programs write behind it fit several times.
const KEPT: usize = 4096;
/// How gzip data begins (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Runs a program, which gets our standard input, and reads its output to the end.
pub(crate) fn of(words: &[String]) -> Result<Vec<u8>, Fault> {
    let what = format!("running {}", words.join(" "));
    let (program, arguments) = words.split_first().ok_or_else(|| Fault::Usage("ends -- PROGRAM".into()))?;
    let child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| Fault::ours(&what, error))?;
    let output = child.stdout.take().ok_or_else(|| Fault::Ours(format!("{what}: no output")))?;
    let seen = read(output).map_err(|error| Fault::ours(&what, error))?;
    let status = child.wait().map_err(|error| Fault::ours(&what, error))?;
    if !status.success() {
        return Err(Fault::Ours(format!("{what}: it ended with {status}")));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let tail: Vec<u8> = seen.ends.tail.into();
    let answer = json!({
        "bytes": seen.bytes, "head": text(&seen.ends.head), "tail": text(&tail), "broken": seen.broken,
    });
    Ok(format!("{answer}\n").into_bytes())
}

struct Seen {
    bytes: u64,
    ends: Ends,
    broken: Option<String>,
}

#[derive(Default)]
struct Ends {
    head: Vec<u8>,
    tail: VecDeque<u8>,
}

impl Ends {
    fn take(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend(&bytes[bytes.len().saturating_sub(KEPT)..]);
        let surplus = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..surplus);
    }

    /// Reads to the end; an error of the reader is returned as such.
    fn read(&mut self, mut reader: impl Read) -> io::Result<()> {
        let mut part = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut part) {
                Ok(0) => return Ok(()),
                Ok(count) => self.take(&part[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Counts what goes through.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

fn read(output: impl Read) -> io::Result<Seen> {
    let mut reader = BufReader::with_capacity(64 * 1024, Counted { inner: output, bytes: 0 });
    let mut ends = Ends::default();
    let mut broken = None;
    if reader.fill_buf()?.starts_with(&GZIP) {
        broken = ends.read(MultiGzDecoder::new(&mut reader)).err().map(|error| error.to_string());
        // The program must be able to write to its end, and its bytes count.
        io::copy(&mut reader, &mut io::sink())?;
    } else {
        ends.read(&mut reader)?;
    }
    Ok(Seen { bytes: reader.get_ref().bytes, ends, broken })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn text() -> Vec<u8> {
        (0..20_000).flat_map(|line| format!("line {line}\n").into_bytes()).collect()
    }

    fn ends(seen: &Seen) -> (String, String) {
        let tail: Vec<u8> = seen.ends.tail.iter().copied().collect();
        (String::from_utf8_lossy(&seen.ends.head).into(), String::from_utf8_lossy(&tail).into())
    }

    #[test]
    fn beginning_and_end_are_kept_of_plain_and_of_packed_data_alike() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(&text()).unwrap();
        let packed = packer.finish().unwrap();
        for data in [text(), packed] {
            let seen = read(&data[..]).unwrap();
            let (head, tail) = ends(&seen);
            assert!(head.starts_with("line 0\n") && tail.ends_with("line 19999\n"));
            assert_eq!((seen.bytes, head.len(), tail.len()), (data.len() as u64, KEPT, KEPT));
            assert_eq!(seen.broken, None);
        }
    }

    #[test]
    fn packed_data_that_ends_early_is_broken() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(&text()).unwrap();
        let packed = packer.finish().unwrap();
        for end in [packed.len() / 2, packed.len() - 1] {
            let seen = read(&packed[..end]).unwrap();
            assert!(seen.broken.is_some(), "cut at {end}");
            assert_eq!(seen.bytes, end as u64);
        }
    }

    #[test]
    fn an_empty_output_has_no_ends() {
        let seen = read(&b""[..]).unwrap();
        assert_eq!((seen.bytes, ends(&seen)), (0, (String::new(), String::new())));
    }
}
