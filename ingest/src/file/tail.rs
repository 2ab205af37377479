//! One file read line by line, each line once, from any line on.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use highwater_dataflow::EventTime;

use crate::intake::Intake;
use crate::source::SourceError;

/// The longest line that is read as an event, bytes.
pub(super) const LINE_MAX: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether [`Tail::hold`] has an event in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Held,
    /// The file has no complete line for now.
    Nothing,
}

pub(super) struct Tail {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    follow: bool,
    /// The line being read, without its end; cut at [`LINE_MAX`].
    line: Vec<u8>,
    cut: bool,
    /// Offset of the next byte to read.
    offset: u64,
    /// Offset after the last line handed out.
    position: u64,
    held: Option<Intake>,
    /// Greatest event time read.
    newest: Option<EventTime>,
    failure: Option<SourceError>,
    ended: bool,
}

impl Tail {
    /// Opens a file at an offset that was handed out before.
    pub(super) fn open(path: PathBuf, position: u64, follow: bool) -> Result<Self, SourceError> {
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        if packed && follow {
            let reason = "is packed and cannot be followed: unpack it, or leave `follow` out";
            return Err(SourceError::Format { path, reason: reason.to_owned() });
        }
        let reader = match reader(&path, packed, position) {
            Ok(Some(reader)) => reader,
            Ok(None) => {
                let reason = format!(
                    "has no line that ends at byte {position}, where it was read to: is it another file?"
                );
                return Err(SourceError::Format { path, reason });
            }
            Err(source) => return Err(SourceError::Open { path, source }),
        };
        Ok(Self {
            path,
            reader,
            follow,
            line: Vec::new(),
            cut: false,
            offset: position,
            position,
            held: None,
            newest: None,
            failure: None,
            ended: false,
        })
    }

    /// Reads on until an event is in hand.
    ///
    /// Errors: [`SourceError::Read`]; if it cannot pass, the file has ended for us. [`SourceError::Format`] if a
    /// followed file became shorter.
    pub(super) fn hold(&mut self) -> Result<Read, SourceError> {
        if let Some(failure) = self.failure.take() {
            self.ended = !failure.retry();
            return Err(failure);
        }
        while self.held.is_none() && !self.ended {
            match self.read_line() {
                Ok(true) => self.take_line(),
                Ok(false) if self.follow => {
                    self.check_length()?;
                    return Ok(Read::Nothing);
                }
                Ok(false) => {
                    // The last line may lack its end.
                    self.take_line();
                    self.ended = true;
                }
                Err(source) => {
                    let failure = SourceError::Read { path: self.path.clone(), source };
                    self.ended = !failure.retry();
                    return Err(failure);
                }
            }
        }
        Ok(if self.held.is_some() { Read::Held } else { Read::Nothing })
    }

    /// Hands the event over.
    pub(super) fn release(&mut self) -> Option<Intake> {
        let intake = self.held.take()?;
        self.position = intake.position;
        Some(intake)
    }

    /// When a paced replay hands the event in hand over: an event is not held up by others that are late, nor a dead
    /// letter by anything. `None`: nothing in hand, or nothing to wait for.
    pub(super) fn due(&self) -> Option<EventTime> {
        self.held.as_ref()?.decoded.as_ref().ok().map(|envelope| envelope.at)
    }

    /// Greatest event time read.
    pub(super) fn newest(&self) -> Option<EventTime> {
        self.newest
    }

    /// Keeps a failure for the next read.
    pub(super) fn fail(&mut self, failure: SourceError) {
        self.failure = Some(failure);
    }

    pub(super) fn ended(&self) -> bool {
        self.ended && self.held.is_none() && self.failure.is_none()
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads to the end of the line; false if the file ends before it. Goes on where it stopped when asked again.
    fn read_line(&mut self) -> io::Result<bool> {
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok(false);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = LINE_MAX - self.line.len();
            self.cut |= room < part.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let consumed = part.len() + usize::from(end.is_some());
            self.offset += consumed as u64;
            self.reader.consume(consumed);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// Takes the line read into the hand, unless it is blank.
    fn take_line(&mut self) {
        let mut raw = std::mem::take(&mut self.line);
        if raw.last() == Some(&b'\r') {
            raw.pop();
        }
        if raw.starts_with(BYTE_ORDER_MARK) {
            raw.drain(..BYTE_ORDER_MARK.len());
        }
        let cut = std::mem::take(&mut self.cut);
        if raw.iter().all(u8::is_ascii_whitespace) && !cut {
            return;
        }
        let intake = if cut {
            let reason = format!("line is longer than {LINE_MAX} bytes; this is its beginning");
            Intake::rejected(raw, self.offset, reason)
        } else {
            Intake::native(raw, self.offset)
        };
        if let Ok(envelope) = &intake.decoded {
            self.newest = self.newest.max(Some(envelope.at));
        }
        self.held = Some(intake);
    }

    /// A file that was emptied or replaced by a shorter one would be waited for in vain.
    fn check_length(&mut self) -> Result<(), SourceError> {
        // Not there for a moment, while it is being replaced: looked at again with the next poll.
        let Ok(metadata) = std::fs::metadata(&self.path) else { return Ok(()) };
        if self.offset <= metadata.len() {
            return Ok(());
        }
        self.ended = true;
        let reason = format!(
            "is {} bytes long but was read to byte {}: files are followed only while they grow",
            metadata.len(),
            self.offset
        );
        Err(SourceError::Format { path: self.path.clone(), reason })
    }
}

/// A reader at an offset; `None` if no line ends there.
fn reader(path: &Path, packed: bool, offset: u64) -> io::Result<Option<Box<dyn BufRead + Send>>> {
    let mut file = File::open(path)?;
    if packed {
        let mut reader = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
        let ends = skip(&mut reader, offset)?;
        return Ok(ends.then_some(Box::new(reader) as _));
    }
    // The byte before the offset is read too: it must end a line.
    let before = u64::from(0 < offset);
    file.seek(SeekFrom::Start(offset - before))?;
    let mut reader = BufReader::new(file);
    let ends = skip(&mut reader, before)?;
    Ok(ends.then_some(Box::new(reader) as _))
}

/// Reads `count` bytes away; false unless they are there and a line ends with them.
fn skip(reader: &mut impl BufRead, count: u64) -> io::Result<bool> {
    let Some(all_but_one) = count.checked_sub(1) else { return Ok(true) };
    let skipped = io::copy(&mut reader.take(all_but_one), &mut io::sink())?;
    let mut last = [0];
    if skipped < all_but_one || reader.read(&mut last)? == 0 {
        return Ok(false);
    }
    // A last line that had no end was handed out at the end of the file; its end may have come since.
    let next = reader.fill_buf()?.first().copied();
    Ok(last == *b"\n" || matches!(next, None | Some(b'\n' | b'\r')))
}
