//! The formulas between cgroup v1's scales, which the spec speaks, and v2's.

/// cgroup v1's range of `cpu.shares`.
pub const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// `cpu.weight` (1 to 10000) for `shares` (2 to 262144): the curve that goes through both ends and through the
/// defaults, 1024 shares and weight 100, as the runtimes agreed in 2025.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "both ranges are far below 2^52"
)]
pub fn weight_of_shares(shares: u64) -> u64 {
    if shares <= *SHARES.start() {
        return 1;
    }
    if shares >= *SHARES.end() {
        return 10_000;
    }
    let l = (shares as f64).log2();
    let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    10f64.powf(exponent).ceil() as u64
}

/// `io.weight` (1 to 10000) for a block weight (10 to 1000), linear.
pub fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_weights() {
        for (shares, weight) in [
            (2, 1),
            (1024, 100),
            (262_144, 10_000),
            (0, 1),
            (u64::MAX, 10_000),
            (512, 59),
            (2048, 174),
        ] {
            assert_eq!(weight_of_shares(shares), weight, "{shares} shares");
        }
        assert_eq!(
            (io_weight(10), io_weight(1000), io_weight(500)),
            (1, 10_000, 4950)
        );
    }

    proptest! {
        #[test]
        fn weights_stay_in_range_and_in_order(a in 0u64..300_000, b in 0u64..300_000) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(weight_of_shares(low) <= weight_of_shares(high));
            prop_assert!((1..=10_000).contains(&weight_of_shares(a)));
        }

        #[test]
        fn io_weights_stay_in_range(w in 10u16..=1000) {
            prop_assert!((1..=10_000).contains(&io_weight(w)));
        }
    }
}
