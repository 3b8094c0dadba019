//! Blocks of bytes, each with a sum that depends on all before it: what is torn, changed, left out
//! or put in another order is found before it is read.

use std::io::{self, Read, Write};

use super::{Read as Found, SnapshotError};

/// A block ends with the first item that makes it this long.
const BLOCK: usize = 256 * 1024;
/// The length and the sum in front of a block.
const HEAD: usize = 4 + 8;

/// Gathers items into blocks.
pub(super) struct Writer<'a> {
    out: &'a mut dyn Write,
    block: Vec<u8>,
    sum: u64,
}

impl<'a> Writer<'a> {
    /// Writes `magic` and begins the first block.
    pub(super) fn begin(out: &'a mut dyn Write, magic: &[u8]) -> io::Result<Self> {
        out.write_all(magic)?;
        Ok(Self { out, block: Vec::with_capacity(BLOCK * 2), sum: checksum(0, magic) })
    }

    pub(super) fn number(&mut self, number: u32) {
        self.block.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn long(&mut self, number: u64) {
        self.block.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
    }

    /// A length, then the text.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.number(u32::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?);
        self.bytes(text.as_bytes());
        Ok(())
    }

    /// Says that an item has ended: a reader gets it in one piece.
    pub(super) fn end_item(&mut self) -> io::Result<()> {
        if self.block.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    /// Ends the block now.
    pub(super) fn end_block(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.block.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.sum = checksum(self.sum, &self.block);
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&self.sum.to_le_bytes())?;
        self.out.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Ends the last block, and all of them with an empty one.
    pub(super) fn end(mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.end_block()
    }
}

/// Reads blocks and takes them apart.
pub(super) struct Reader<R> {
    input: R,
    /// Bytes that are still to be read, as the file's length has it.
    left: u64,
    block: Vec<u8>,
    at: usize,
    sum: u64,
}

impl<R: Read> Reader<R> {
    /// Reads as many bytes as `magic` has, and says which.
    pub(super) fn begin<const N: usize>(mut input: R, length: u64) -> Found<(Self, [u8; N])> {
        let mut magic = [0; N];
        input.read_exact(&mut magic).map_err(|error| failed(&error))?;
        let left = length.checked_sub(N as u64).ok_or(SnapshotError::Damaged)?;
        let sum = checksum(0, &magic);
        Ok((Self { input, left, block: Vec::new(), at: 0, sum }, magic))
    }

    pub(super) fn number(&mut self) -> Found<u32> {
        let bytes = self.take(4)?.first_chunk().ok_or(SnapshotError::Damaged)?;
        Ok(u32::from_le_bytes(*bytes))
    }

    pub(super) fn long(&mut self) -> Found<u64> {
        let bytes = self.take(8)?.first_chunk().ok_or(SnapshotError::Damaged)?;
        Ok(u64::from_le_bytes(*bytes))
    }

    pub(super) fn text(&mut self) -> Found<&str> {
        let length = self.number()? as usize;
        std::str::from_utf8(self.take(length)?).map_err(|_| SnapshotError::Damaged)
    }

    /// The next bytes, which lie in one block.
    pub(super) fn take(&mut self, count: usize) -> Found<&[u8]> {
        if count == 0 {
            return Ok(&[]);
        }
        if self.at == self.block.len() {
            self.next_block()?;
        }
        let end = self.at.checked_add(count).ok_or(SnapshotError::Damaged)?;
        let taken = self.block.get(self.at..end).ok_or(SnapshotError::Damaged)?;
        self.at = end;
        Ok(taken)
    }

    /// False when fewer than so many bytes are left: then a number that was read is no count of
    /// things that are there.
    pub(super) fn has(&self, bytes: u64) -> bool {
        let here = self.block.len().saturating_sub(self.at) as u64;
        bytes <= self.left.saturating_add(here)
    }

    /// Everything was taken, and nothing follows.
    pub(super) fn end(mut self) -> Found<()> {
        if self.at != self.block.len() {
            return Err(SnapshotError::Damaged);
        }
        self.next_block()?;
        let mut more = [0];
        match self.input.read(&mut more) {
            Ok(0) if self.block.is_empty() && self.left == 0 => Ok(()),
            Ok(_) => Err(SnapshotError::Damaged),
            Err(error) => Err(failed(&error)),
        }
    }

    fn next_block(&mut self) -> Found<()> {
        let mut head = [0; HEAD];
        self.input.read_exact(&mut head).map_err(|error| failed(&error))?;
        let (length, sum) = head.split_first_chunk::<4>().ok_or(SnapshotError::Damaged)?;
        let length = u32::from_le_bytes(*length);
        let sum = sum.first_chunk().ok_or(SnapshotError::Damaged)?;
        let left = self.left.checked_sub(HEAD as u64);
        let left = left.and_then(|left| left.checked_sub(u64::from(length)));
        self.left = left.ok_or(SnapshotError::Damaged)?;
        self.block.resize(length as usize, 0);
        self.at = 0;
        self.input.read_exact(&mut self.block).map_err(|error| failed(&error))?;
        self.sum = checksum(self.sum, &self.block);
        if self.sum == u64::from_le_bytes(*sum) { Ok(()) } else { Err(SnapshotError::Damaged) }
    }
}

fn failed(error: &io::Error) -> SnapshotError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::Damaged,
        kind => SnapshotError::Unreadable(kind),
    }
}

/// Detects damage, not malice: eight lanes of multiply and rotate, so that it keeps up with memory.
fn checksum(before: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9E37_79B1_85EB_CA87;
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(PRIME).rotate_left(29);
    let mut lanes = [1_u64, 2, 3, 4, 5, 6, 7, 8];
    let (blocks, rest) = bytes.as_chunks::<64>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = mix(*lane, u64::from_le_bytes(*word));
        }
    }
    let sum = lanes.into_iter().fold(mix(before, bytes.len() as u64), mix);
    rest.iter().fold(sum, |sum, byte| mix(sum, u64::from(*byte)))
}
