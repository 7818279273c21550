//! The mask over a stream that is being shown while it comes.

use std::io::{self, Write};

use super::{MASK, Masker};

/// Masks one stream, chunk by chunk.
///
/// Held back are only bytes that may be the beginning of a secret; everything before them comes out at once.
/// What comes out does not depend on where the chunks were cut.
pub struct MaskStream {
    masker: Masker,
    /// Bytes that are not decided yet.
    held: Vec<u8>,
    /// How many of the held bytes belong to a find whose mask is already out.
    covered: usize,
}

impl MaskStream {
    pub(super) fn new(masker: Masker) -> Self {
        Self { masker, held: Vec::new(), covered: 0 }
    }

    /// Takes the next bytes and returns what can be shown by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.decide(false)
    }

    /// There will be no more bytes: what is held back is no secret, and comes out.
    pub fn finish(&mut self) -> Vec<u8> {
        let rest = self.decide(true);
        self.held.clear();
        self.covered = 0;
        rest
    }

    /// How many bytes are held back.
    pub fn held_back(&self) -> usize {
        self.held.len()
    }

    fn decide(&mut self, is_end: bool) -> Vec<u8> {
        let patterns = self.masker.patterns();
        let mut shown = Vec::with_capacity(self.held.len());
        let (mut place, mut covered, mut finds) = (0, self.covered, 0);
        while let Some(byte) = self.held.get(place) {
            let find = patterns.find(self.held.get(place..).unwrap_or_default());
            if find.is_live && !is_end {
                break;
            }
            let is_new = place >= covered;
            if find.length > 0 {
                // A find that begins inside another one lengthens it: no byte of either is shown.
                covered = covered.max(place + find.length);
                if is_new {
                    shown.extend_from_slice(MASK.as_bytes());
                    finds += 1;
                }
            } else if is_new {
                shown.push(*byte);
            }
            place += 1;
        }
        self.held.drain(..place);
        self.covered = covered.saturating_sub(place);
        self.masker.count(finds);
        shown
    }
}

/// Masks everything on its way to another writer. To be ended with [`MaskedWriter::finish`].
pub struct MaskedWriter<W: Write> {
    stream: MaskStream,
    writer: W,
}

impl<W: Write> MaskedWriter<W> {
    /// Puts the mask before `writer`.
    pub fn new(masker: &Masker, writer: W) -> Self {
        Self { stream: masker.stream(), writer }
    }

    /// Writes what was held back, flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        let rest = self.stream.finish();
        self.writer.write_all(&rest)?;
        self.writer.flush()?;
        Ok(self.writer)
    }
}

impl<W: Write> Write for MaskedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let shown = self.stream.push(bytes);
        self.writer.write_all(&shown)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
