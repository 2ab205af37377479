//! Erlang C and Erlang A: how many agents a queue needs.
//!
//! Stable for any size: Erlang B by its recursion, Erlang A's birth-death chain from its most likely state outwards, so
//! that nothing overflows and what is negligible is never visited.

/// Contacts coming to a queue: how many in which time, and how long one keeps an agent busy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Contacts per interval.
    pub contacts: f64,
    pub interval_s: f64,
    pub aht_s: f64,
}

impl Load {
    /// Offered load in Erlangs: `λ · AHT`.
    pub fn erlangs(&self) -> f64 {
        self.contacts / self.interval_s * self.aht_s
    }

    fn rate(&self) -> f64 {
        self.contacts / self.interval_s
    }

    fn is_none(&self) -> bool {
        self.erlangs() <= 0.0
    }
}

/// What a queue can expect with a number of agents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Performance {
    /// Probability that a contact waits.
    pub wait_probability: f64,
    /// Share served within the threshold: of all arrivals.
    pub service_level: f64,
    /// Mean wait of all arrivals, seconds; those who gave up included.
    pub mean_wait_s: f64,
    /// Busy share of the agents' time.
    pub occupancy: f64,
    /// Share that gives up; 0 in Erlang C, where everybody waits for ever.
    pub abandon_probability: f64,
}

impl Performance {
    /// An empty queue.
    const IDLE: Performance = Performance {
        wait_probability: 0.0,
        service_level: 1.0,
        mean_wait_s: 0.0,
        occupancy: 0.0,
        abandon_probability: 0.0,
    };
}

/// The load is at or above the number of agents: without abandonment the queue grows for ever.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overload {
    pub erlangs: f64,
    pub agents: u32,
}

/// Erlang C. `B_k = aB/(k + aB)`; `C = NB/(N - a(1 - B))`; `SL = 1 - C·exp(-(N - a)T/AHT)`; `ASA = C·AHT/(N - a)`.
///
/// Errors: [`Overload`] where `a >= N`.
pub fn erlang_c(load: Load, agents: u32, threshold_s: f64) -> Result<Performance, Overload> {
    let erlangs = load.erlangs();
    if load.is_none() {
        return Ok(Performance::IDLE);
    }
    if erlangs >= f64::from(agents) {
        return Err(Overload { erlangs, agents });
    }
    Ok(c_performance(load, agents, erlang_b(erlangs, agents), threshold_s))
}

fn c_performance(load: Load, agents: u32, blocking: f64, threshold_s: f64) -> Performance {
    let (a, n) = (load.erlangs(), f64::from(agents));
    let waits = n * blocking / (n - a * (1.0 - blocking));
    Performance {
        wait_probability: waits,
        service_level: 1.0 - waits * (-(n - a) * threshold_s / load.aht_s).exp(),
        mean_wait_s: waits * load.aht_s / (n - a),
        occupancy: a / n,
        abandon_probability: 0.0,
    }
}

fn erlang_b(erlangs: f64, agents: u32) -> f64 {
    (1..=agents).fold(1.0, |b, k| erlangs * b / (f64::from(k) + erlangs * b))
}

/// The fewest agents with which Erlang C reaches `target` (0 to 1) within `threshold_s`; 0 without load.
///
/// A target of 1 is never reached; it is taken as 0.9999.
pub fn agents_by_erlang_c(load: Load, target: f64, threshold_s: f64) -> u32 {
    if load.is_none() {
        return 0;
    }
    let erlangs = load.erlangs();
    let target = target.min(TARGET_MAX);
    let mut agents = erlangs.floor() as u32 + 1;
    let mut blocking = erlang_b(erlangs, agents);
    // Beyond the load each agent more makes waiting rarer geometrically: this ends.
    while c_performance(load, agents, blocking, threshold_s).service_level < target {
        agents += 1;
        blocking = erlangs * blocking / (f64::from(agents) + erlangs * blocking);
    }
    agents
}

const TARGET_MAX: f64 = 0.9999;

/// Erlang A: contacts give up after an exponential time of mean `patience_s`.
///
/// Birth-death with `μ_k = min(k, N)μ + (k - N)⁺θ`; `P_ab = θL_q/λ`; `E[W] = L_q/λ`. The service level is P(served within
/// T) over all arrivals: one who finds n waiting waits `V` with `exp(-θV) ~ Beta(Nμ/θ, n + 1)`, and is served if
/// `V <= min(T, patience)`. Stable at any load.
pub fn erlang_a(load: Load, agents: u32, threshold_s: f64, patience_s: f64) -> Performance {
    if load.is_none() {
        return Performance::IDLE;
    }
    let (lambda, mu, theta) = (load.rate(), 1.0 / load.aht_s, 1.0 / patience_s.max(1e-9));
    let chain = Chain::solve(lambda, mu, theta, agents);
    let abandoned = (theta * chain.queue / lambda).clamp(0.0, 1.0);
    let in_time = if agents == 0 {
        0.0
    } else {
        chain.served_in_time(f64::from(agents) * mu, theta, threshold_s)
    };
    Performance {
        wait_probability: chain.waits,
        service_level: (1.0 - chain.waits + in_time).clamp(0.0, 1.0),
        mean_wait_s: chain.queue / lambda,
        occupancy: if agents == 0 { 0.0 } else { chain.busy / f64::from(agents) },
        abandon_probability: abandoned,
    }
}

/// The fewest agents with which Erlang A reaches `target` within `threshold_s`; 0 without load.
pub fn agents_by_erlang_a(load: Load, target: f64, threshold_s: f64, patience_s: f64) -> u32 {
    if load.is_none() {
        return 0;
    }
    let target = target.min(TARGET_MAX);
    let reaches = |agents| erlang_a(load, agents, threshold_s, patience_s).service_level >= target;
    if reaches(0) {
        return 0;
    }
    // Erlang C's answer is mostly more than enough; where nearly all are to be served, those who give up cost a few more.
    let (mut too_few, mut enough) = (0, agents_by_erlang_c(load, target, threshold_s));
    while !reaches(enough) {
        too_few = enough;
        enough += enough / 16 + 1;
    }
    while too_few + 1 < enough {
        let middle = u32::midpoint(too_few, enough);
        if reaches(middle) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    enough
}

/// Agents on the payroll for `agents` at work: `N / (1 - shrinkage)`, rounded up.
pub fn with_shrinkage(agents: u32, shrinkage: f64) -> u32 {
    // A hair less, so that 70 / (1 - 0.3) is 100 and not 101.
    (f64::from(agents) / (1.0 - shrinkage.clamp(0.0, 0.99)) - 1e-9).ceil().max(0.0) as u32
}

/// The stationary chain of Erlang A.
struct Chain {
    /// P(all agents are busy).
    waits: f64,
    /// Mean number waiting.
    queue: f64,
    /// Mean number of busy agents.
    busy: f64,
    /// `(n, P(n wait))` for the lengths that matter, consecutive.
    queue_from: u64,
    lengths: Vec<f64>,
}

/// Less than this share of the most likely state does not show in fifteen digits.
const NEGLIGIBLE: f64 = 1e-18;

impl Chain {
    fn solve(lambda: f64, mu: f64, theta: f64, agents: u32) -> Self {
        let n = u64::from(agents);
        let death = |k: u64| k.min(n) as f64 * mu + k.saturating_sub(n) as f64 * theta;
        // Births and deaths balance at the most likely state.
        let excess = lambda - n as f64 * mu;
        let top = if excess > 0.0 { n + (excess / theta) as u64 } else { (lambda / mu) as u64 };
        let mut below = Vec::new();
        let mut weight = 1.0;
        for k in (1..=top).rev() {
            weight *= death(k) / lambda;
            if weight < NEGLIGIBLE {
                break;
            }
            below.push(weight);
        }
        let first = top - below.len() as u64;
        below.reverse();
        let mut weights = below;
        weights.push(1.0);
        weight = 1.0;
        let mut k = top;
        loop {
            k += 1;
            weight *= lambda / death(k);
            if weight < NEGLIGIBLE {
                break;
            }
            weights.push(weight);
        }
        let total: f64 = weights.iter().sum();
        let (mut waits, mut queue, mut busy) = (0.0, 0.0, 0.0);
        let mut lengths = Vec::new();
        for (offset, weight) in weights.iter().enumerate() {
            let (k, probability) = (first + offset as u64, weight / total);
            busy += k.min(n) as f64 * probability;
            if k >= n {
                waits += probability;
                queue += (k - n) as f64 * probability;
                lengths.push(probability);
            }
        }
        Chain { waits, queue, busy, queue_from: first.saturating_sub(n), lengths }
    }

    /// P(waits and is served within T).
    ///
    /// Given n ahead it is `x/(x + n + 1) · P(M > n)`, x being Nμ/θ and M negative binomial with `x + 1` and `exp(-θT)`:
    /// so it is the sum over m of P(M = m) times what shorter queues hold.
    fn served_in_time(&self, capacity: f64, theta: f64, threshold_s: f64) -> f64 {
        if threshold_s <= 0.0 {
            return 0.0;
        }
        let x = capacity / theta;
        let fail = -(-theta * threshold_s).exp_m1();
        let mut shorter = 0.0;
        let mut sum = 0.0;
        let mut seen = 0.0;
        let mut log = -theta * threshold_s * (x + 1.0);
        let mut m: u64 = 0;
        loop {
            let probability = log.exp();
            seen += probability;
            sum += probability * shorter;
            // The queue as long as m is shorter than m + 1.
            if let Some(length) =
                m.checked_sub(self.queue_from).and_then(|n| self.lengths.get(n as usize))
            {
                shorter += length * x / (x + m as f64 + 1.0);
            }
            if m >= self.queue_from + self.lengths.len() as u64 {
                // Whatever is left of M is longer than every queue.
                return sum + (1.0 - seen).max(0.0) * shorter;
            }
            m += 1;
            log += ((x + m as f64) / m as f64 * fail).ln();
            let past_mode = (x + m as f64) * fail < m as f64;
            if past_mode && log < -50.0 {
                return sum;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact: whole numbers")]
mod tests;
