//! How many contacts come: the forecast per queue and interval, and what each day makes of it.

use highwater_dataflow::EventTime;

use super::config::{DAY, INTERVAL, MINUTE, SimConfig};
use super::random::Chance;
use super::staff::Staff;

/// Contacts expected per queue and interval of a day, the interval index counted from opening.
pub(super) struct Demand {
    expected: Vec<Vec<f64>>,
    today: Vec<Vec<f64>>,
}

impl Demand {
    pub(super) fn new(config: &SimConfig, staff: &Staff) -> Self {
        let expected: Vec<Vec<f64>> =
            (0..staff.queues.len()).map(|queue| curve(config, staff, queue)).collect();
        Self { today: expected.clone(), expected }
    }

    /// The forecast of one queue: expected contacts per interval from opening on.
    pub(super) fn forecast(&self, queue: usize) -> &[f64] {
        &self.expected[queue]
    }

    /// Draws a day: busier or quieter as a whole, rough within, and now and then a surge.
    pub(super) fn begin_day(&mut self, config: &SimConfig, day: i64) {
        let mut chance = Chance::new(config.seed, &[4, day as u64]);
        let whole = (chance.normal() * 0.05).exp();
        for (today, expected) in self.today.iter_mut().zip(&self.expected) {
            let level = whole * (chance.normal() * 0.06).exp();
            let surge = chance.happens(config.surges).then(|| {
                let from = chance.index(expected.len().saturating_sub(4).max(1));
                (from..from + 2 + chance.index(3), 1.4 + chance.unit() * 0.8)
            });
            for (interval, (today, expected)) in today.iter_mut().zip(expected).enumerate() {
                *today = expected * level * (chance.normal() * 0.1).exp();
                if let Some((_, factor)) = surge.as_ref().filter(|(of, _)| of.contains(&interval)) {
                    *today *= factor;
                }
            }
        }
    }

    /// The next arrival of a queue after `after` on that day; `None` once it is closed.
    pub(super) fn next_arrival(
        &self,
        config: &SimConfig,
        queue: usize,
        day: i64,
        after: EventTime,
        chance: &mut Chance,
    ) -> Option<EventTime> {
        let opens_at = config.midnight_at + day * DAY + config.opens_min * MINUTE;
        let mut at = after.max(opens_at);
        // A Poisson process forgets: at each border it is drawn anew with the next interval's rate.
        loop {
            let interval = ((at - opens_at) / INTERVAL) as usize;
            let expected = *self.today[queue].get(interval)?;
            let border = opens_at + (interval as i64 + 1) * INTERVAL;
            let gap = chance.exponential(INTERVAL as f64 / expected.max(1e-9));
            if gap < (border - at) as f64 {
                return Some(at + (gap as i64).max(1));
            }
            at = border;
        }
    }
}

/// The volume its planners staffed the queue for: the staff over the day, smoothed, under a double hump.
fn curve(config: &SimConfig, staff: &Staff, queue: usize) -> Vec<f64> {
    let intervals = (config.open_ms() / INTERVAL) as usize;
    let mut heads = vec![0.0; intervals];
    for agent in &staff.agents {
        let Some(rank) = agent.skills.iter().position(|skill| *skill == queue) else { continue };
        // The own queue gets twice what each other skill gets.
        let parts = if rank == 0 { 2.0 } else { 1.0 };
        let share = parts / (agent.skills.len() as f64 + 1.0);
        let team = &staff.teams[agent.team];
        let length_min = if agent.part_time { team.length_min.min(300) } else { team.length_min };
        let starts_min = team.starts_min - config.opens_min;
        for (interval, heads) in heads.iter_mut().enumerate() {
            let minute = interval as i64 * 15;
            if (starts_min..starts_min + length_min).contains(&minute) {
                *heads += share;
            }
        }
    }
    let mut chance = Chance::new(config.seed, &[5, queue as u64]);
    let (morning, afternoon) = (10.4 + chance.unit() * 0.6, 14.6 + chance.unit() * 0.8);
    // Days off, absences, breaks, lunches and meetings: a good eighth of the paid time.
    let present = 0.92 * 0.87;
    let seconds = INTERVAL as f64 * config.occupancy * present / staff.queues[queue].aht_ms();
    (0..intervals)
        .map(|interval| {
            let near = interval.saturating_sub(3)..(interval + 4).min(intervals);
            let smooth = heads[near.clone()].iter().sum::<f64>() / near.len() as f64;
            let hour = config.opens_min as f64 / 60.0 + interval as f64 / 4.0 + 0.125;
            let hump = |at: f64, width: f64| (-((hour - at) / width).powi(2) / 2.0).exp();
            smooth * seconds * (0.86 + 0.22 * hump(morning, 1.3) + 0.27 * hump(afternoon, 1.5))
        })
        .collect()
}
