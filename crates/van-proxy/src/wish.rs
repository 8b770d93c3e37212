//! What an ingress asks of an egress beyond the address: it travels as OPEN's target hint.

use van_model::Strategy;

/// Which of an egress's targets an ingress would like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish<'a> {
    /// The one with the least to do.
    Any,
    /// The connector of this name.
    Named(&'a str),
    /// One of this priority, then those that follow.
    Priority(u16),
    /// One in proportion to the weights.
    Weighted,
}

impl<'a> Wish<'a> {
    /// Reads a hint; what a later version may ask for is no wish.
    pub(crate) fn of(hint: &'a str) -> Self {
        match hint.strip_prefix('#') {
            Some("weighted") => Self::Weighted,
            Some(number) => number.parse().map_or(Self::Any, Self::Priority),
            None if hint.is_empty() => Self::Any,
            None => Self::Named(hint),
        }
    }

    /// The hint for a strategy; `priority` is that of the targets which were chosen. No connector's
    /// name starts as these do.
    pub(crate) fn hint(strategy: Strategy, priority: u16) -> String {
        match strategy {
            Strategy::Balanced | Strategy::LocalFirst => String::new(),
            Strategy::Failover => format!("#{priority}"),
            Strategy::Weighted => "#weighted".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_read_as_they_are_written() {
        assert_eq!(Wish::of(&Wish::hint(Strategy::Balanced, 3)), Wish::Any);
        assert_eq!(Wish::of(&Wish::hint(Strategy::Failover, 3)), Wish::Priority(3));
        assert_eq!(Wish::of(&Wish::hint(Strategy::Weighted, 3)), Wish::Weighted);
        assert_eq!(Wish::of("pg-1"), Wish::Named("pg-1"));
        assert_eq!(Wish::of("#later"), Wish::Any);
    }
}
