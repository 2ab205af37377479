//! The day's reference data: who belongs to which team, who is scheduled for what.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use highwater_dataflow::Span;
use highwater_model::{ActivityCode, AgentId, Name, TeamId, parse_ms};
use serde::Deserialize;

pub(crate) struct Day {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// `(agent, team)`, one row per agent.
    pub(crate) teams: Vec<(AgentId, TeamId)>,
    /// `(agent, activity)`.
    pub(crate) schedule: Vec<(AgentId, Span<ActivityCode>)>,
}

#[derive(Deserialize)]
struct Meta {
    day_start_ms: i64,
    day_end_ms: i64,
}

#[derive(Deserialize)]
struct Agent {
    agent_id: Name,
    team: Name,
}

#[derive(Deserialize)]
struct Segment {
    agent_id: Name,
    activity: Name,
    start: String,
    end: String,
}

impl Day {
    /// Reads `meta.json`, `agents.jsonl` and `schedule.jsonl`.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let meta: Meta = serde_json::from_reader(open(&dir.join("meta.json"))?)?;
        let teams = lines::<Agent>(&dir.join("agents.jsonl"))?;
        let teams = teams.into_iter().map(|a| (AgentId(a.agent_id), TeamId(a.team))).collect();
        let mut schedule = Vec::new();
        for segment in lines::<Segment>(&dir.join("schedule.jsonl"))? {
            let bound = |text: &str| parse_ms(text).with_context(|| format!("no instant: {text}"));
            let span = Span {
                from: bound(&segment.start)?,
                to: bound(&segment.end)?,
                value: ActivityCode(segment.activity),
                seq: 0,
            };
            schedule.push((AgentId(segment.agent_id), span));
        }
        Ok(Day { start: meta.day_start_ms, end: meta.day_end_ms, teams, schedule })
    }
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| path.display().to_string())?))
}

fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<Vec<T>> {
    let mut rows = Vec::new();
    for line in open(path)?.lines() {
        rows.push(serde_json::from_str(&line?)?);
    }
    Ok(rows)
}
