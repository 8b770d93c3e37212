//! Who waits for news of which address, so that a change wakes nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use van_model::Address;

/// The waiting, by address.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<BTreeMap<Address, Vec<Arc<Notify>>>>);

/// One who waits for news of some addresses until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    watchers: Arc<Watchers>,
    addresses: Vec<Address>,
    bell: Arc<Notify>,
}

impl Watchers {
    pub(crate) fn watch(self: &Arc<Self>, addresses: Vec<Address>) -> Watch {
        let bell = Arc::<Notify>::default();
        let mut waiting = self.0.lock();
        for address in &addresses {
            waiting.entry(address.clone()).or_default().push(bell.clone());
        }
        Watch { watchers: self.clone(), addresses, bell }
    }

    /// Wakes those who wait for news of any of these.
    pub(crate) fn wake<'a>(&self, addresses: impl IntoIterator<Item = &'a Address>) {
        let waiting = self.0.lock();
        let bells = addresses.into_iter().filter_map(|address| waiting.get(address)).flatten();
        // A bell that rings while nobody listens is heard at the next look.
        bells.for_each(|bell| bell.notify_one());
    }
}

impl Watch {
    /// Waits for news since the last call.
    pub(crate) async fn changed(&self) {
        self.bell.notified().await;
    }

    /// Rings as for news.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut waiting = self.watchers.0.lock();
        for address in &self.addresses {
            if let Some(bells) = waiting.get_mut(address) {
                bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
                if bells.is_empty() {
                    waiting.remove(address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn only_those_who_wait_for_an_address_are_woken_and_none_stays_behind() {
        let watchers = Arc::<Watchers>::default();
        let [a, b]: [Address; 2] = ["a", "b"].map(|text| text.parse().unwrap());
        let both = watchers.watch(vec![a.clone(), b.clone()]);
        let one = watchers.watch(vec![b.clone()]);
        watchers.wake([&a]);
        assert!(both.changed().now_or_never().is_some());
        assert!(both.changed().now_or_never().is_none(), "one news, one wake-up");
        assert!(one.changed().now_or_never().is_none(), "nothing happened to b");
        watchers.wake([&b]);
        assert!(one.changed().now_or_never().is_some() && both.changed().now_or_never().is_some());
        drop((both, one));
        assert!(watchers.0.lock().is_empty());
    }
}
