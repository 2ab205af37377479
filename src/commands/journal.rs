//! `highwater journal`: verify, stat, backup, export, import.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use highwater_ingest::{checkpoint, journal};
use highwater_model::format_ms;
use tracing::info;

use super::{backup, print};
use crate::base::base_in;
use crate::cli::Journal;
use crate::plan::checkpoints_in;

pub(crate) fn journal(command: Journal) -> Result<()> {
    match command {
        Journal::Verify { place } => {
            let report = journal::verify(&place.journal()?)?;
            print(&format!("{report}\n"))?;
            match report.problem {
                None => Ok(()),
                Some(_) => {
                    bail!("the journal cannot be trusted beyond record {}", report.intact.seq)
                }
            }
        }
        Journal::Stat { place } => {
            let dir = place.journal()?;
            let stat = journal::stat(&dir)?;
            let records = (stat.witness.seq + 1).saturating_sub(stat.retained_from);
            print(&format!(
                "journal      {}\nsegments     {}\nbytes        {}\nrecords      {records} ({} to {})\n\
                 last epoch   {}\n",
                dir.display(),
                stat.segments,
                stat.bytes,
                stat.retained_from,
                stat.witness.seq,
                stat.witness.epoch,
            ))?;
            print(&kept(&dir)?)
        }
        Journal::Backup { place, to } => {
            let journal_dir = place.journal()?;
            let data_dir = journal_dir.parent().unwrap_or(&journal_dir);
            let records = backup::take(data_dir, &place.views()?, &to)?;
            print(&format!("{records} records are safe in {}\n", to.display()))
        }
        Journal::Export { place, to } => export(&place.journal()?, &to),
        Journal::Import { place, from } => {
            let dir = place.journal()?;
            std::fs::create_dir_all(&dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
            let imported = if is_dash(&from) {
                journal::import(&dir, &mut io::stdin().lock())
            } else {
                let file =
                    File::open(&from).with_context(|| format!("cannot open {}", from.display()))?;
                journal::import(&dir, &mut BufReader::new(file))
            };
            let imported = imported.context("cannot import")?;
            info!(frames = imported.frames, records = imported.records, "imported");
            Ok(())
        }
    }
}

/// What is kept beside the journal: where a restart goes on from, and what the segments that went still say.
fn kept(journal_dir: &Path) -> Result<String> {
    let data_dir = journal_dir.parent().unwrap_or(journal_dir);
    let mut text = String::new();
    for segment in journal::segments(journal_dir)? {
        let began = format_ms(segment.created_ms);
        writeln!(text, "segment      from record {}, begun {began}", segment.first_seq)?;
    }
    let dirs = [("checkpoint", checkpoints_in(data_dir)), ("base", base_in(data_dir))];
    for (name, dir) in dirs {
        let found = checkpoint::list(&dir)?;
        for found in &found {
            match found.about() {
                Ok(it) => writeln!(
                    text,
                    "{name:<12} up to record {}, epoch {}, {} bytes",
                    it.seq, it.epoch, found.bytes
                )?,
                Err(error) => writeln!(text, "{name:<12} {error}")?,
            }
        }
        if found.is_empty() {
            writeln!(text, "{name:<12} none")?;
        }
    }
    Ok(text)
}

fn export(dir: &Path, to: &Path) -> Result<()> {
    let exported = if is_dash(to) {
        let mut out = BufWriter::new(io::stdout().lock());
        let exported = journal::export(dir, &mut out)?;
        out.flush().context("cannot write to standard output")?;
        exported
    } else {
        let file = File::create_new(to).with_context(|| {
            format!("cannot make {}; an existing file is not overwritten", to.display())
        })?;
        let mut out = BufWriter::new(file);
        let exported = journal::export(dir, &mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all())
            .with_context(|| format!("cannot write {}", to.display()))?;
        exported
    };
    info!(frames = exported.frames, records = exported.records, "exported");
    Ok(())
}

fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}
