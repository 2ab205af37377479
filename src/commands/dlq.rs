//! `highwater dlq`: dead letters listed, shown, and taken in again.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use highwater_dataflow::Clock;
use highwater_ingest::intake::{Delivery, Intake};
use highwater_ingest::journal::{
    DeadLetter, Journal, JournalError, JournalWriter, Options, PartitionSpec, Reader,
};
use highwater_model::{decode, format_ms};

use super::print;
use crate::cli::Dlq;
use crate::clock::WallClock;
use crate::cluster::Number;
use crate::web::Service;

/// Dead letters handled at a time.
const PAGE: usize = 500;

pub(crate) fn dlq(command: Dlq) -> Result<()> {
    match command {
        Dlq::List { place, from, limit } => list(&place.journal()?, place.number()?, from, limit),
        Dlq::Show { seq, place } => show(&place.journal()?, place.number()?, seq),
        Dlq::Replay { seqs, all, place, url, token_env } => {
            let dir = place.journal()?;
            let wanted = if all { every(&dir)? } else { some(&dir, place.number()?, &seqs)? };
            let service = url.map(|url| Service::at(&url, token_env.as_deref())).transpose()?;
            replay(&dir, wanted, service.as_ref())
        }
    }
}

/// Numbers are those of the cluster, as the view `dead_letters` has them.
fn list(dir: &Path, number: Number, from: u64, limit: usize) -> Result<()> {
    let from = if from == 0 { 0 } else { here(number, from)? };
    let letters = Reader::open(dir)?.dead_letters(from, limit)?;
    let mut text = String::new();
    for letter in &letters {
        let DeadLetter { seq, partition, position, received_at, reason, .. } = letter;
        let (seq, at) = (number.seq(*seq), format_ms(*received_at));
        writeln!(text, "{seq:>10}  {at}  {}  {position:>8}  {}", plain(partition), plain(reason))?;
    }
    if letters.is_empty() {
        text.push_str("no dead letters\n");
    } else if letters.len() == limit {
        let next = letters.last().map_or(0, |letter| letter.seq + 1);
        writeln!(text, "... perhaps more: --from {}", number.seq(next))?;
    }
    print(&text)
}

fn show(dir: &Path, number: Number, seq: u64) -> Result<()> {
    let letter = one(&mut Reader::open(dir)?, number, seq)?;
    let DeadLetter { partition, position, received_at, reason, raw, .. } = letter;
    let now = match decode(&raw) {
        Ok(_) => "it decodes now: `highwater dlq replay` takes it in".to_owned(),
        Err(malformed) => format!("it still does not decode: {}", malformed.0),
    };
    print(&format!(
        "number     {seq}\nsource     {}\nposition   {position}\nreceived   {}\nreason     {}\nnow        {}\n\n{}\n",
        plain(&partition),
        format_ms(received_at),
        plain(&reason),
        plain(&now),
        legible(&raw),
    ))
}

/// Text as it is, to be copied, mended and sent again; what is none, escaped.
fn legible(raw: &[u8]) -> String {
    let text = std::str::from_utf8(raw).ok();
    let text = text.filter(|text| !text.chars().any(|c| c.is_control() && !c.is_whitespace()));
    text.map_or_else(|| raw.escape_ascii().to_string(), str::to_owned)
}

fn every(dir: &Path) -> Result<Vec<DeadLetter>> {
    let mut reader = Reader::open(dir)?;
    let mut all: Vec<DeadLetter> = Vec::new();
    loop {
        let from = all.last().map_or(0, |letter| letter.seq + 1);
        let page = reader.dead_letters(from, PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn some(dir: &Path, number: Number, seqs: &[u64]) -> Result<Vec<DeadLetter>> {
    let mut reader = Reader::open(dir)?;
    seqs.iter().map(|seq| one(&mut reader, number, *seq)).collect()
}

/// The number in journal `number` of a record of the cluster.
///
/// Errors: it is in another journal; says in which.
fn here(number: Number, seq: u64) -> Result<u64> {
    let (journal, own) = Number::of_seq(seq);
    if journal != number {
        bail!(
            "record {seq} is in the journal of process {}, and this is that of process {}\n\
             hint: give that one's data directory or configuration",
            journal.0,
            number.0
        );
    }
    Ok(own)
}

fn one(reader: &mut Reader, number: Number, seq: u64) -> Result<DeadLetter> {
    let own = here(number, seq)?;
    let found = reader.dead_letters(own, 1)?.pop().filter(|letter| letter.seq == own);
    found.with_context(|| {
        format!("record {seq} is not a dead letter\nhint: `highwater dlq list` shows their numbers")
    })
}

/// Takes in again what decodes now; the rest stays where it is.
fn replay(dir: &Path, letters: Vec<DeadLetter>, service: Option<&Service>) -> Result<()> {
    let total = letters.len();
    let good: Vec<DeadLetter> =
        letters.into_iter().filter(|letter| decode(&letter.raw).is_ok()).collect();
    let still = total - good.len();
    let (taken, refused) = match service {
        _ if good.is_empty() => (0, 0),
        Some(service) => send(service, &good)?,
        None => append(dir, &good)?,
    };
    let mut text = format!("{taken} taken in again");
    if still > 0 {
        write!(text, ", {still} still do not decode and stay as they are")?;
    }
    if refused > 0 {
        write!(text, ", {refused} were refused again")?;
    }
    print(&format!("{text}\n"))
}

fn send(service: &Service, letters: &[DeadLetter]) -> Result<(usize, usize)> {
    let (mut taken, mut refused) = (0, 0);
    for letter in letters {
        let answer = service.post_json("/v1/events", &letter.raw)?;
        let dead = answer.body.windows(10).any(|bytes| bytes == b"\"rejected\"");
        match answer.status {
            202 if !dead => taken += 1,
            202 => refused += 1,
            status => bail!(
                "the service answered {status} to record {}: {}",
                letter.seq,
                answer.body.escape_ascii()
            ),
        }
    }
    Ok((taken, refused))
}

/// Opens the journal as a writer of its own: only while no service has it.
fn append(dir: &Path, letters: &[DeadLetter]) -> Result<(usize, usize)> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let opened = Journal::open(dir, Options::default(), clock.clone());
    let journal = opened.map_err(|error| {
        let locked = matches!(error, JournalError::Locked { .. });
        let error = anyhow::Error::from(error);
        if locked {
            error.context("the service is running; give its address with --url, or stop it")
        } else {
            error.context("cannot open the journal")
        }
    })?;
    let after = journal.recovery().tip.epoch;
    let (writer, _) = journal.start(after, JournalWriter::abort_on_fatal())?;
    let partition = writer.register_partition(PartitionSpec {
        max_future_ms: Some(600_000),
        ..PartitionSpec::recorded("dlq", "dlq")
    });
    let (mut taken, mut refused) = (0, 0);
    for page in letters.chunks(PAGE) {
        let intake = |letter: &DeadLetter| Intake::native(letter.raw.clone(), letter.seq);
        let appended = writer.append(Delivery {
            partition,
            items: page.iter().map(intake).collect(),
            received: None,
            received_at: clock.now_ms(),
            history: false,
        })?;
        refused += appended.rejected.len();
        taken += page.len() - appended.rejected.len();
    }
    // A partition that nobody speaks for must not hold the watermark.
    writer.end_partition(partition)?;
    writer.close();
    Ok((taken, refused))
}

/// Text from outside on one line, without what could move a terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
