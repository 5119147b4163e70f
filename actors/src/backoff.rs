//! How long to wait after failures: one rule for sessions that ended and rows that could not be sent, so that a provider
//! that is down is neither hammered nor forgotten.
use std::time::Duration;

/// No wait is longer, before jitter.
const CAP: Duration = Duration::from_secs(60 * 60);
/// The longest wait that the other side may ask for.
const HINT_CAP: Duration = Duration::from_secs(24 * 60 * 60);
/// How far a wait may be off, so that what failed together does not return together.
const JITTER: f64 = 0.2;

/// The wait after so many failures in a row: [`base`] ± 20 %.
pub fn delay(failures: u32) -> Duration {
    base(failures).mul_f64(rand::random_range(1.0 - JITTER..=1.0 + JITTER))
}

/// [`delay`], or what the other side asked for (`Retry-After`) if that is longer; it may ask for at most 24 hours.
pub fn with_hint(failures: u32, retry_after: Option<Duration>) -> Duration {
    delay(failures).max(retry_after.unwrap_or_default().min(HINT_CAP))
}

/// The wait before jitter: 1 s, doubled by each further failure, at most one hour.
///
/// | failures | seconds | | failures | seconds |
/// | -------: | ------: |-| -------: | ------: |
/// |        0 |       1 | |        7 |      64 |
/// |        1 |       1 | |        8 |     128 |
/// |        2 |       2 | |        9 |     256 |
/// |        3 |       4 | |       10 |     512 |
/// |        4 |       8 | |       11 |   1,024 |
/// |        5 |      16 | |       12 |   2,048 |
/// |        6 |      32 | |     13 … |   3,600 |
///
/// Even without a failure there is a wait, because whoever asks is about to start again, and must not spin.
pub fn base(failures: u32) -> Duration {
    1_u64.checked_shl(failures.saturating_sub(1)).map_or(CAP, |seconds| Duration::from_secs(seconds).min(CAP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_doubles_up_to_an_hour() {
        let table = [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600];
        for (failures, seconds) in (0..).zip(table) {
            assert_eq!(base(failures), Duration::from_secs(seconds), "after {failures} failures");
        }
        for failures in [63, 64, 65, 66, u32::MAX] {
            assert_eq!(base(failures), CAP, "after {failures} failures");
        }
    }

    #[test]
    fn delay_is_within_a_fifth_of_base_and_spread() {
        for failures in [0, 1, 5, 13, u32::MAX] {
            let delays: Vec<Duration> = (0..1000).map(|_| delay(failures)).collect();
            let (lowest, highest) = (base(failures).mul_f64(0.8), base(failures).mul_f64(1.2));
            assert!(delays.iter().all(|delay| (lowest..=highest).contains(delay)), "after {failures} failures");
            // 1,000 draws all miss an outer quarter of the range with a probability of 1e-125.
            assert!(delays.iter().any(|delay| *delay < base(failures).mul_f64(0.9)), "after {failures} failures");
            assert!(delays.iter().any(|delay| *delay > base(failures).mul_f64(1.1)), "after {failures} failures");
        }
    }

    #[test]
    fn a_hint_lengthens_but_never_shortens_and_is_capped() {
        let hour = Duration::from_secs(3600);
        assert_eq!(with_hint(1, Some(hour)), hour);
        assert!(with_hint(10, Some(Duration::from_secs(1))) >= base(10).mul_f64(0.8));
        assert!(with_hint(10, None) >= base(10).mul_f64(0.8));
        assert_eq!(with_hint(20, Some(Duration::from_secs(u64::MAX))), 24 * hour);
    }
}
