//! A cable with delay and loss, for kernels without a network emulator: a TAP device at each end,
//! and threads that carry frames late or not at all.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::namespace::Host;
use crate::virtual_network::Seed;

/// Frames under way in one direction: 100 ms at 1 Gbit/s and a good deal more.
const UNDER_WAY: usize = 20_000;

/// The longest frame of an ordinary MTU, with room to spare.
const FRAME: usize = 2048;

/// How often an idle reader looks whether the cable is gone, in milliseconds.
const LOOK: u16 = 50;

/// How a cable treats frames, each way.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// The time of each frame on its way: half a round trip.
    pub delay: Duration,
    /// Frames lost of a thousand.
    pub loss: usize,
}

/// What carries the frames; dropping it unplugs both ends.
#[derive(Debug)]
pub struct Wire {
    gone: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Wire {
    /// Makes the devices of both ends and joins them.
    #[track_caller]
    pub(crate) fn plug(a: &Host, b: &Host, device: &str, quality: Quality) -> Self {
        let [a, b] = [a, b].map(|host| host.within(|| tap(device)));
        Self::join(a, b, quality)
    }

    /// Joins two devices, made with [`tap`] where each is to be.
    pub fn join(a: SyncDevice, b: SyncDevice, quality: Quality) -> Self {
        let [a, b] = [a, b].map(Arc::new);
        let gone = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (seed, from, to) in [(1, &a, &b), (2, &b, &a)] {
            let (sender, receiver) = sync_channel(UNDER_WAY);
            let (from, to, gone) = (from.clone(), to.clone(), gone.clone());
            let seed = Seed::new(seed);
            threads.push(thread::spawn(move || take(&from, &sender, quality, seed, &gone)));
            threads.push(thread::spawn(move || bring(&to, &receiver)));
        }
        Self { gone, threads }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Only a panic of the thread itself could be told here.
            let _ended = thread.join();
        }
    }
}

/// Makes the end of a wire: a TAP device in the network namespace of this thread.
///
/// # Panics
/// Where there is no `/dev/net/tun`, or no right to it.
#[track_caller]
pub fn tap(device: &str) -> SyncDevice {
    let tap = DeviceBuilder::new().name(device).layer(Layer::L2).build_sync();
    let tap = tap.unwrap_or_else(|e| panic!("no TAP device: {e}; is there a /dev/net/tun?"));
    tap.set_nonblocking(true).expect("a device's file can be made so");
    tap
}

type Frame = (Instant, Vec<u8>);

fn take(
    from: &SyncDevice,
    sender: &SyncSender<Frame>,
    quality: Quality,
    mut seed: Seed,
    gone: &AtomicBool,
) {
    let mut buffer = [0; FRAME];
    while !gone.load(Ordering::Relaxed) {
        let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        // An error (a signal, a device that goes down) is looked at by the next read.
        let _ready = poll(&mut ready, PollTimeout::from(LOOK));
        while let Ok(length) = from.recv(&mut buffer) {
            if let (false, Some(frame)) = (seed.chance(quality.loss), buffer.get(..length)) {
                // A full cable loses frames, as a real queue does.
                let _lost = sender.try_send((Instant::now() + quality.delay, frame.to_vec()));
            }
        }
    }
}

fn bring(to: &SyncDevice, receiver: &Receiver<Frame>) {
    while let Ok((due, frame)) = receiver.recv() {
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        // A device that takes no more loses the frame.
        let _lost = to.send(&frame);
    }
}
