//! The `file` channel: JSON lines, appended and synced before they count as delivered.
//!
//! At least once: a crash between sync and confirmation repeats a line; its `dedup_key` tells.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use highwater_dataflow::{EventTime, Step};
use serde::Deserialize;

use super::{Channel, ChannelError, Message, Outcome, Retry, all_steps};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    pub name: String,
    pub path: PathBuf,
    /// The steps this channel wants; all unless given.
    #[serde(default = "all_steps")]
    pub steps: Vec<Step>,
    #[serde(default)]
    pub retry: Retry,
}

pub(super) struct FileChannel {
    config: FileConfig,
    file: File,
}

impl FileChannel {
    pub(super) fn open(config: &FileConfig) -> Result<FileChannel, ChannelError> {
        let open = || {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).append(true).read(true).open(&config.path)?;
            end_line(&mut file)?;
            Ok(file)
        };
        let file = open().map_err(|source| ChannelError::Io {
            channel: config.name.clone(),
            path: config.path.display().to_string(),
            source,
        })?;
        Ok(FileChannel { config: config.clone(), file })
    }

    fn append(&mut self, lines: &[u8]) -> std::io::Result<()> {
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Half a line, on a full disk for instance, would spoil the next one.
            self.file.set_len(before)?;
        }
        written
    }
}

/// Ends a line that a crash cut short: what follows stays readable.
fn end_line(file: &mut File) -> std::io::Result<()> {
    let mut last = [0];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(())
}

impl Channel for FileChannel {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn wants(&self, step: Step) -> bool {
        self.config.steps.contains(&step)
    }

    fn width(&self) -> usize {
        256
    }

    fn retry(&self) -> Retry {
        self.config.retry
    }

    fn deliver(&mut self, messages: &[Message], _: EventTime) -> Vec<Outcome> {
        let mut lines = Vec::new();
        for message in messages {
            serde_json::to_writer(&mut lines, message).expect("a message is JSON");
            lines.push(b'\n');
        }
        let outcome = match self.append(&lines) {
            Ok(()) => Outcome::Delivered,
            Err(error) => {
                Outcome::Retry { reason: error.to_string(), after: None, everybody: true }
            }
        };
        vec![outcome; messages.len()]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::super::message::tests::{notification, resolve};
    use super::*;

    #[test]
    fn appends_a_line_per_message_after_a_torn_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        std::fs::write(&path, "{\"torn").unwrap();
        let config = FileConfig {
            name: "file".into(),
            path: path.clone(),
            steps: all_steps(),
            retry: Retry::default(),
        };
        let mut channel = FileChannel::open(&config).unwrap();
        let message = |step| Message::of(&notification("a", 1, step), &resolve());
        let sent = [message(Step::Opened), message(Step::Resolved)];
        assert_eq!(channel.deliver(&sent, 0), [Outcome::Delivered, Outcome::Delivered]);
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Message> =
            text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, sent);
    }
}
