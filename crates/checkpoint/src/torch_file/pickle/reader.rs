//! Reads the arguments of instructions from the bytes of a pickle.

use crate::error::PickleProblem;

/// Bytes of a pickle and how far they have been read.
pub struct Reader<'p> {
    bytes: &'p [u8],
    position: usize,
}

impl<'p> Reader<'p> {
    pub fn new(bytes: &'p [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub fn position(&self) -> usize {
        self.position
    }

    pub fn take(&mut self, len: u64) -> Result<&'p [u8], PickleProblem> {
        let rest = &self.bytes[self.position..];
        match usize::try_from(len).ok().and_then(|len| rest.get(..len)) {
            Some(taken) => {
                self.position += taken.len();
                Ok(taken)
            }
            None => Err(PickleProblem::Truncated {
                position: self.bytes.len(),
            }),
        }
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleProblem> {
        let bytes = self.take(N as u64)?;
        Ok(std::array::from_fn(|i| bytes[i]))
    }

    pub fn u8(&mut self) -> Result<u8, PickleProblem> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, PickleProblem> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, PickleProblem> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, PickleProblem> {
        self.array().map(i32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, PickleProblem> {
        self.array().map(u64::from_le_bytes)
    }

    /// A line of text, without its end.
    pub fn line(&mut self) -> Result<&'p str, PickleProblem> {
        let rest = &self.bytes[self.position..];
        let Some(len) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(PickleProblem::Truncated {
                position: self.bytes.len(),
            });
        };
        let line = self.text(len as u64)?;
        self.position += 1;
        Ok(line)
    }

    /// UTF-8 text of that many bytes.
    pub fn text(&mut self, len: u64) -> Result<&'p str, PickleProblem> {
        let position = self.position;
        std::str::from_utf8(self.take(len)?).map_err(|_| PickleProblem::Invalid {
            what: "text that is not UTF-8".to_owned(),
            position,
        })
    }

    /// A little-endian two's complement integer of that many bytes; none when it needs more than 64 bits.
    pub fn long(&mut self, len: u64) -> Result<Option<i64>, PickleProblem> {
        let bytes = self.take(len)?;
        let Some((&last, low)) = bytes.split_last() else {
            return Ok(Some(0));
        };
        let fill = if last & 0x80 == 0 { 0 } else { 0xff };
        let mut wide = [fill; 8];
        if bytes.len() > wide.len() {
            return Ok(None);
        }
        wide[..low.len()].copy_from_slice(low);
        wide[low.len()] = last;
        Ok(Some(i64::from_le_bytes(wide)))
    }
}
