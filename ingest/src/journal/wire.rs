//! Reading and writing little-endian fields: the letters of the frame and ledger formats.

/// Why bytes are not what they should be.
pub(super) type Bad = &'static str;

/// Reads fields off the front of a slice; never past its end.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Bad> {
        let (head, tail) = self.0.split_at_checked(n).ok_or("it ends too early")?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or("it ends too early")?;
        self.0 = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Bad> {
        Ok(self.array::<1>()?[0])
    }
    pub(super) fn u32(&mut self) -> Result<u32, Bad> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    pub(super) fn u64(&mut self) -> Result<u64, Bad> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    pub(super) fn i64(&mut self) -> Result<i64, Bad> {
        Ok(i64::from_le_bytes(self.array()?))
    }
    pub(super) fn hash(&mut self) -> Result<[u8; 32], Bad> {
        self.array()
    }

    /// A text with its length before it.
    pub(super) fn text(&mut self) -> Result<String, Bad> {
        let len = self.u32()? as usize;
        let bytes = self.take(len)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "a text in it is not UTF-8")
    }

    /// A count of things that take at least `least` bytes each: never more than can follow.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, Bad> {
        let n = self.u32()? as usize;
        if n > self.0.len() / least { Err("a count in it is too large") } else { Ok(n) }
    }

    pub(super) fn end(&self) -> Result<(), Bad> {
        if self.0.is_empty() { Ok(()) } else { Err("bytes follow its end") }
    }
}

/// Appends a text with its length before it.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_len(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Appends a length or count. A frame is far smaller than 4 GiB: the queue's bound in bytes sees to that.
pub(super) fn put_len(out: &mut Vec<u8>, n: usize) {
    let n = u32::try_from(n).expect("a frame stays below 4 GiB");
    out.extend_from_slice(&n.to_le_bytes());
}
