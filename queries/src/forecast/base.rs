//! The base: what to expect of a day before it begins, from the same weekday of the weeks before.

/// How many days of the same weekday make a base.
pub const BASE_WEEKS: usize = 6;

/// How far back those are looked for, where some are missing or the site was closed.
pub const LOOK_BACK_WEEKS: usize = 10;

/// So many contacts do not come in a slot by chance that is closed, nor stay away from one that is open.
const CERTAIN: f64 = 20.0;

/// The mean of up to six days of the same weekday, newest first, slot by slot.
///
/// Days on which nothing came (missing, closed) do not count. Of three days or more, those with less than half or more
/// than twice the median total are left out: a holiday says nothing about an ordinary day. `None` with fewer than two
/// days: one day is no rule. Ordinary days are all kept, so that the result is then the plain mean, but for slots that are
/// open or closed only since one of these days.
pub fn ordinary_mean(newest_first: &[&[f64]]) -> Option<Vec<f64>> {
    let open = newest_first.iter().copied().filter(|day| day.iter().sum::<f64>() > 0.0);
    let days: Vec<&[f64]> = open.take(BASE_WEEKS).collect();
    if days.len() < 2 {
        return None;
    }
    let total = |day: &&[f64]| day.iter().sum::<f64>();
    let middle = super::median(&mut days.iter().map(total).collect::<Vec<_>>());
    let ordinary = |day: &&[f64]| 0.5 * middle <= total(day) && total(day) <= 2.0 * middle;
    let kept: Vec<&[f64]> =
        if days.len() < 3 { days } else { days.into_iter().filter(ordinary).collect() };
    let slots = kept.iter().map(|day| day.len()).max()?;
    let mean = |slot: usize| {
        let counts = || kept.iter().map(|day| day.get(slot).copied().unwrap_or(0.0));
        let days = as_of_late(counts());
        counts().take(days).sum::<f64>() / days as f64
    };
    Some((0..slots).map(mean).collect())
}

/// How many of a slot's counts, newest first, are of the hours that hold now; all of them where hours did not change.
///
/// A slot has been opened where [`CERTAIN`] contacts or more came in each of the newest days and none before, and closed
/// where it is the other way round on two days or more: one may be an outage.
fn as_of_late(newest_first: impl Iterator<Item = f64> + Clone) -> usize {
    let rest = |newest: usize| newest_first.clone().skip(newest);
    let all = rest(0).count();
    let (open, closed) = (|count: &f64| *count >= CERTAIN, |count: &f64| *count == 0.0);
    let (opened, shut) = (rest(0).take_while(open).count(), rest(0).take_while(closed).count());
    if opened >= 1 && rest(opened).all(|count| closed(&count)) {
        opened
    } else if shut >= 2 && shut < all && rest(shut).all(|count| open(&count)) {
        shut
    } else {
        all
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact: whole numbers and small fractions")]
mod tests {
    use super::*;

    #[test]
    fn ordinary_days_give_the_plain_mean() {
        let days: Vec<[f64; 2]> = (1..=8).map(|n| [f64::from(n) + 10.0, 4.0]).collect();
        let days: Vec<&[f64]> = days.iter().map(|day| &day[..]).collect();
        // The newest six: 11 to 16.
        assert_eq!(ordinary_mean(&days), Some(vec![13.5, 4.0]));
    }

    #[test]
    fn closed_days_and_holidays_do_not_count() {
        let days: [&[f64]; 5] =
            [&[0.0, 0.0], &[10.0, 10.0], &[1.0, 2.0], &[12.0, 8.0], &[9.0, 60.0]];
        assert_eq!(ordinary_mean(&days), Some(vec![11.0, 9.0]));
    }

    #[test]
    fn other_hours_hold_from_the_first_day_on() {
        // The third slot was opened a week ago, the first closed two weeks ago.
        let days: [&[f64]; 4] =
            [&[0.0, 50.0, 40.0], &[0.0, 50.0, 0.0], &[30.0, 50.0, 0.0], &[30.0, 50.0, 0.0]];
        assert_eq!(ordinary_mean(&days), Some(vec![0.0, 50.0, 40.0]));
        // One day without contacts is an outage; few contacts come by chance.
        let days: [&[f64]; 3] = [&[0.0, 50.0, 3.0], &[30.0, 50.0, 0.0], &[30.0, 50.0, 0.0]];
        assert_eq!(ordinary_mean(&days), Some(vec![20.0, 50.0, 1.0]));
    }

    #[test]
    fn one_day_is_no_rule() {
        assert_eq!(ordinary_mean(&[&[5.0]]), None);
        assert_eq!(ordinary_mean(&[&[5.0], &[0.0]]), None);
        assert_eq!(ordinary_mean(&[]), None);
    }
}
