//! Who works here: queues, teams and agents, fixed for a seed.

use highwater_dataflow::Millis;
use highwater_model::{AgentId, Channel, Name, QueueId, SiteId, TeamId};

use super::config::{MINUTE, SECOND, SimConfig};
use super::names;
use super::random::Chance;

/// A queue and how its contacts behave.
pub(super) struct Queue {
    pub id: QueueId,
    pub channel: Channel,
    /// Share to be answered within `threshold_ms`, in millionths.
    pub target_ppm: i64,
    pub threshold_ms: Millis,
    pub overflow: i64,
    pub talk_ms_median: Millis,
    pub acw_ms_median: Millis,
    /// `None`: its customers never hang up.
    pub patience_ms_mean: Option<f64>,
}

/// Spread of talk and after-call times around their medians.
pub(super) const SIGMA: f64 = 0.55;

impl Queue {
    /// Expected handle time: mean of the log-normals, and the few holds.
    pub(super) fn aht_ms(&self) -> f64 {
        (self.talk_ms_median + self.acw_ms_median) as f64 * (SIGMA * SIGMA / 2.0).exp()
            + HOLD_SHARE * HOLD_MS_MEDIAN as f64 * (SIGMA * SIGMA / 2.0).exp()
    }
}

/// Share of calls with a hold, and its median length.
pub(super) const HOLD_SHARE: f64 = 0.08;
pub(super) const HOLD_MS_MEDIAN: Millis = 40 * SECOND;

pub(super) struct Team {
    pub id: TeamId,
    pub site: usize,
    /// When its shifts begin and how long they are, minutes; some agents work shorter.
    pub starts_min: i64,
    pub length_min: i64,
    pub agents: std::ops::Range<usize>,
}

pub(super) struct Agent {
    pub id: AgentId,
    pub name: Name,
    pub team: usize,
    /// Indexes of queues, the team's own first.
    pub skills: Vec<usize>,
    pub part_time: bool,
}

pub(super) struct Staff {
    pub queues: Vec<Queue>,
    pub teams: Vec<Team>,
    pub agents: Vec<Agent>,
    pub sites: Vec<SiteId>,
}

pub(super) fn hire(config: &SimConfig) -> Staff {
    let mut chance = Chance::new(config.seed, &[1]);
    let queues: Vec<Queue> =
        (0..config.queue_count()).map(|index| queue(index, &mut chance)).collect();
    let weights: Vec<f64> =
        (0..queues.len()).map(|index| (index as f64 + 1.0).powf(-0.6)).collect();
    let sum: f64 = weights.iter().sum();
    let mut owed = vec![0.0; queues.len()];
    let mut teams_of = vec![0usize; queues.len()];
    let mut staff = Staff {
        teams: Vec::new(),
        agents: Vec::with_capacity(config.agents),
        sites: (0..config.sites).map(|index| SiteId(names::site(index).into())).collect(),
        queues,
    };
    let team_count = config.agents.div_ceil(config.team_size);
    for index in 0..team_count {
        for (owed, weight) in owed.iter_mut().zip(&weights) {
            *owed += weight / sum;
        }
        let own = (0..owed.len()).max_by(|a, b| owed[*a].total_cmp(&owed[*b])).unwrap_or(0);
        owed[own] -= 1.0;
        teams_of[own] += 1;
        let first = index * config.team_size;
        let agents = first..config.agents.min(first + config.team_size);
        let name = format!("{}-{}", staff.queues[own].id, teams_of[own]);
        let (starts_min, length_min) = shift_pattern(config, index, &mut chance);
        for agent in agents.clone() {
            let mut skills = vec![own];
            let extras = [0, 0, 1, 1, 2][chance.index(5)];
            for extra in 0..extras {
                let other = (own + 1 + extra + chance.index(3)) % staff.queues.len();
                if !skills.contains(&other) {
                    skills.push(other);
                }
            }
            staff.agents.push(Agent {
                id: AgentId(format!("A{:05}", agent + 1).into()),
                name: names::person(&mut chance).into(),
                team: index,
                skills,
                part_time: chance.happens(0.12),
            });
        }
        let site = index % config.sites;
        staff.teams.push(Team { id: TeamId(name.into()), site, starts_min, length_min, agents });
    }
    // More queues than teams: a team's agents share the queues that would have none.
    for (queue, _) in teams_of.iter().enumerate().filter(|(_, teams)| **teams == 0) {
        let team = &staff.teams[queue % staff.teams.len()];
        for agent in &mut staff.agents[team.agents.clone()] {
            if !agent.skills.contains(&queue) {
                agent.skills.push(queue);
            }
        }
    }
    staff
}

fn queue(index: usize, chance: &mut Chance) -> Queue {
    let channel = match index % 5 {
        3 => Channel::Chat,
        4 => Channel::Email,
        _ => Channel::Voice,
    };
    let (talk_s, acw_s, target_ppm, threshold_ms, patience_ms_mean) = match channel {
        Channel::Chat => (390, 30, 800_000, 45 * SECOND, Some(300_000.0)),
        Channel::Email => (420, 20, 900_000, 60 * MINUTE, None),
        _ => (315, 50, 800_000, 20 * SECOND, Some(170_000.0)),
    };
    let vary =
        |seconds: i64, chance: &mut Chance| (seconds * SECOND) * chance.between(800, 1_200) / 1_000;
    Queue {
        id: QueueId(format!("{}-{}", names::topic(index), channel.name()).into()),
        channel,
        target_ppm,
        threshold_ms,
        overflow: if channel == Channel::Email { 200 } else { 15 },
        talk_ms_median: vary(talk_s, chance),
        acw_ms_median: vary(acw_s, chance),
        patience_ms_mean,
    }
}

/// Most teams begin early, on the hour: the volume has a hump before noon, and shifts begin in a storm.
fn shift_pattern(config: &SimConfig, team: usize, chance: &mut Chance) -> (i64, i64) {
    let open_min = config.closes_min - config.opens_min;
    let length_min = (8 * 60 + 30).min(open_min);
    let latest = open_min - length_min;
    // Shares of the room between the first and the last possible beginning. The first teams cover both ends.
    let places = [0.0, 1.0, 0.18, 0.36, 0.0, 0.55, 0.18, 0.36, 1.0, 0.73];
    let place = places[if team < 6 { team } else { chance.index(places.len()) }];
    let starts_min = config.opens_min + ((latest as f64 * place) as i64) / 30 * 30;
    (starts_min, length_min)
}
