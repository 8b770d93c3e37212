//! A bound on the log: no place in the code fills the disk, whatever others send.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Lines that one place in the code may write in a [`WINDOW`].
const MOST: u32 = 100;

/// The time over which lines are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Drops lines of places in the code that write too many.
#[derive(Debug, Default)]
pub(crate) struct Rate(Mutex<HashMap<Identifier, Window>>);

#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u32,
}

impl Rate {
    fn allows(&self, place: Identifier, now: Instant) -> bool {
        let mut places = self.0.lock();
        let window = places.entry(place).or_insert(Window { began: now, lines: 0 });
        if now.duration_since(window.began) >= WINDOW {
            *window = Window { began: now, lines: 0 };
        }
        window.lines += 1;
        window.lines <= MOST
    }
}

impl<S: Subscriber> Layer<S> for Rate {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.allows(event.metadata().callsite(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Counts what comes through.
    struct Count(std::sync::Arc<Mutex<u32>>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            *self.0.lock() += 1;
        }
    }

    #[test]
    fn a_flood_from_one_place_is_bounded_and_others_are_heard() {
        let count = std::sync::Arc::<Mutex<u32>>::default();
        let subscriber =
            tracing_subscriber::registry().with(Rate::default()).with(Count(count.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..10_000 {
                tracing::warn!("flood");
            }
            assert_eq!(*count.lock(), MOST);
            tracing::warn!("other");
            assert_eq!(*count.lock(), MOST + 1);
        });
    }
}
