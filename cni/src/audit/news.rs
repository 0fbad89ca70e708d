//! What is told of a pod to whoever looks at it in the cluster: that its attachment was repaired, or that something is odd about it.
//! Bounded in number, told after the work is done, and nothing depends on it.

use std::time::Duration;

use tokio::time::Instant;

use crate::orchestrator::Pod;

/// So many at once: a switch that lost all its rows has a hundred pods repaired in a pass.
const MOST: u32 = 10;
/// And one more in so long.
const PERIOD: Duration = Duration::from_secs(30);

/// Something about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Which one.
    pub pod: Pod,
    /// In one word, as Kubernetes' Events have it.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
    /// Whether somebody should look after it.
    pub is_warning: bool,
}

/// How many may be told.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    counted: Instant,
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self { left: MOST, counted: Instant::now() }
    }

    /// Whether one more may be told now.
    pub(super) fn take(&mut self) -> bool {
        let periods = self.counted.elapsed().as_secs() / PERIOD.as_secs();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX).min(MOST);
        if periods > 0 {
            self.left = (self.left + periods).min(MOST);
            self.counted = Instant::now();
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_at_once_and_one_more_every_half_minute() {
        let mut allowance = Allowance::new();
        let told = |allowance: &mut Allowance| (0..50).filter(|_| allowance.take()).count();
        assert_eq!(told(&mut allowance), 10);
        tokio::time::advance(PERIOD / 2).await;
        assert_eq!(told(&mut allowance), 0);
        tokio::time::advance(PERIOD / 2).await;
        assert_eq!(told(&mut allowance), 1);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(told(&mut allowance), 10);
    }
}
