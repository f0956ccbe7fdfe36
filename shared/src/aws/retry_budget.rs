use std::sync::atomic::{AtomicU16, Ordering};

/// Limits retries, which only add load while most calls fail. Ten successful calls pay for one retry.
#[derive(Debug)]
pub struct RetryBudget(AtomicU16);

impl RetryBudget {
    /// The cost of a retry; a successful call pays 1 in.
    pub const RETRY: u16 = 10;
    /// The initial and the largest budget.
    pub const FULL: u16 = 10 * Self::RETRY;

    pub(super) const fn new() -> Self {
        Self(AtomicU16::new(Self::FULL))
    }

    /// Takes the cost of one retry; `false` if the budget is too small.
    pub(super) fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(Self::RETRY)).is_ok()
    }

    /// Pays in for a successful call.
    pub(super) fn refill(&self) {
        // It fails only when the budget is full.
        let _ =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left < Self::FULL).then_some(left + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_run_out_until_calls_succeed() {
        let budget = RetryBudget::new();
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10);
        (0..9).for_each(|_| budget.refill());
        assert!(!budget.take());
        budget.refill();
        assert!(budget.take() && !budget.take());
        (0..1000).for_each(|_| budget.refill());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10, "a full budget stays full");
        (0..9).for_each(|_| budget.refill());
        assert!(!budget.take(), "nothing was left");
    }
}
