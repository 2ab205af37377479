//! `highwater journal verify` and `stat`: everything checked, nothing changed, the intact part told apart.

use std::fmt;
use std::path::Path;

use super::error::{JournalError, name_of};
use super::files::{self, SegmentFile};
use super::options::Verify;
use super::segment::Segment;
use super::store::Tip;
use super::walk::walk;
use super::witness::{self, Witness};

/// What a verification found.
#[derive(Debug)]
pub struct Report {
    pub segments: Vec<SegmentReport>,
    /// What the witness demands: last acknowledged epoch and record.
    pub witness: Option<Tip>,
    /// Where the intact part ends.
    pub intact: Tip,
    /// The first thing found wrong; everything up to `intact` is good.
    pub problem: Option<JournalError>,
}

/// One segment's part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentReport {
    pub name: String,
    pub first_seq: u64,
    pub bytes: u64,
    pub frames: u64,
    pub records: u64,
    pub dead_letters: u64,
}

/// A journal's figures without reading it through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub segments: usize,
    pub bytes: u64,
    pub retained_from: u64,
    /// The last acknowledged frame and record.
    pub witness: Tip,
}

/// Reads the whole journal in `dir` and checks checksums, hashes, links, structure and the witness.
///
/// Damage is in the report; errors are only what keeps it from looking (`Absent`, `Io`).
pub fn verify(dir: &Path) -> Result<Report, JournalError> {
    loop {
        // The witness is read before the names: a running writer only ever gets ahead of it.
        let before = witness::read(dir);
        let files = files::list(dir)?;
        if files.is_empty() && !witness::exists(dir) {
            return Err(JournalError::Absent { dir: dir.to_owned() });
        }
        let intact = Tip { epoch: 0, seq: 0, hash: [0; 32] };
        let segments = files.iter().map(head).collect();
        let mut report = Report { segments, witness: None, intact, problem: None };
        let retained = before.as_ref().ok().map(|witness| witness.retained_from);
        report.problem = before.and_then(|it| check(dir, &it, &files, &mut report)).err();
        // Segments that retention dropped meanwhile are not missing.
        let dropped = witness::read(dir).ok().map(|witness| witness.retained_from) != retained;
        if report.problem.is_none() || !dropped {
            return Ok(report);
        }
    }
}

/// Reads the witness and the names of the segments.
///
/// Errors: `Absent`; `Witness`.
pub fn stat(dir: &Path) -> Result<Stat, JournalError> {
    let files = files::list(dir)?;
    if files.is_empty() && !witness::exists(dir) {
        return Err(JournalError::Absent { dir: dir.to_owned() });
    }
    let witness = witness::read(dir)?;
    Ok(Stat {
        segments: files.len(),
        bytes: files.iter().map(SegmentFile::bytes).sum(),
        retained_from: witness.retained_from,
        witness: Tip { epoch: witness.epoch, seq: witness.seq, hash: witness.hash },
    })
}

fn check(
    dir: &Path,
    witness: &Witness,
    files: &[SegmentFile],
    report: &mut Report,
) -> Result<(), JournalError> {
    report.witness = Some(Tip { epoch: witness.epoch, seq: witness.seq, hash: witness.hash });
    let live: Vec<SegmentFile> =
        files.iter().filter(|file| file.first_seq >= witness.retained_from).cloned().collect();
    if live.is_empty() {
        if witness.epoch == 0 {
            return Ok(());
        }
        let first = SegmentFile::new(dir, witness.retained_from);
        return Err(JournalError::Damaged {
            segment: name_of(&first.path),
            from: witness.retained_from,
            to: witness.seq.max(witness.retained_from),
            what: "all segments are missing".into(),
        });
    }
    let Report { segments, intact, .. } = report;
    let walked = walk(&live, witness, Verify::Everything, |segment, frame| {
        let name = segment.name();
        if let Some(found) = segments.iter_mut().find(|found| found.name == name) {
            found.frames += 1;
            found.records += frame.records.len() as u64;
            found.dead_letters += frame.rejected() as u64;
        }
        *intact = Tip { epoch: frame.epoch, seq: frame.last_seq(), hash: intact.hash };
    })?;
    *intact = walked.tip;
    for file in &live {
        Segment::open_for_reading(&file.path)?.integrity_check()?;
    }
    Ok(())
}

fn head(file: &SegmentFile) -> SegmentReport {
    SegmentReport {
        name: name_of(&file.path),
        first_seq: file.first_seq,
        bytes: file.bytes(),
        ..SegmentReport::default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            let SegmentReport { name, bytes, frames, records, dead_letters, .. } = segment;
            writeln!(
                f,
                "{name}  {bytes} bytes, {frames} frames, {records} records, {dead_letters} dead letters"
            )?;
        }
        if let Some(witness) = &self.witness {
            writeln!(f, "witness: record {} in epoch {}", witness.seq, witness.epoch)?;
        }
        match &self.problem {
            None => write!(f, "intact up to record {}", self.intact.seq),
            Some(problem) => {
                write!(f, "intact up to record {}; then: {problem}", self.intact.seq)
            }
        }
    }
}
