//! A cable between two network namespaces with delay and loss, for kernels without a network
//! emulator: a TAP device on each end, and threads that carry frames late or not at all.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use rand::Rng;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// Frames under way in one direction: 100 ms at 1 Gbit/s and a good deal more.
const UNDER_WAY: usize = 20_000;

/// The longest frame of an ordinary MTU, with room to spare.
const FRAME: usize = 2048;

/// How often an idle reader looks whether the cable is gone, in milliseconds.
const LOOK: u16 = 50;

/// How the cable treats frames, each way.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// The delay each way: half a round trip.
    pub delay: Duration,
    /// The share of frames lost, 0 to 1.
    pub loss: f64,
}

/// A cable; dropping it unplugs both ends.
#[derive(Debug)]
pub struct Wire {
    gone: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Wire {
    /// Plugs a cable into the namespaces `left` and `right`, where its ends appear as the network
    /// devices `device`.
    ///
    /// # Errors
    /// Where a namespace can't be entered or a device can't be made.
    pub fn plug(left: &str, right: &str, device: &str, quality: Quality) -> Result<Self> {
        let left = Arc::new(tap(left, device)?);
        let right = Arc::new(tap(right, device)?);
        let gone = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (from, to) in [(&left, &right), (&right, &left)] {
            let (sender, receiver) = sync_channel(UNDER_WAY);
            let (from, to, gone) = (Arc::clone(from), Arc::clone(to), Arc::clone(&gone));
            threads.push(thread::spawn(move || take(&from, &sender, quality, &gone)));
            threads.push(thread::spawn(move || bring(&to, &receiver)));
        }
        Ok(Self { gone, threads })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Only a panic of the thread itself could be told here.
            let _ = thread.join();
        }
    }
}

type Frame = (Instant, Vec<u8>);

/// Makes the device in a thread of its own, since a namespace is entered for good.
fn tap(namespace: &str, device: &str) -> Result<SyncDevice> {
    let path = format!("/run/netns/{namespace}");
    let device = device.to_owned();
    let made = thread::spawn(move || -> Result<SyncDevice> {
        let file = std::fs::File::open(&path).with_context(|| format!("opening {path} failed"))?;
        setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("entering {path} failed"))?;
        let tap = DeviceBuilder::new().name(device).layer(Layer::L2).build_sync();
        let tap = tap.context("making a TAP device failed")?;
        tap.set_nonblocking(true)?;
        Ok(tap)
    });
    made.join().map_err(|_| anyhow!("making a TAP device ended early"))?
}

fn take(from: &SyncDevice, sender: &SyncSender<Frame>, quality: Quality, gone: &AtomicBool) {
    let mut buffer = [0; FRAME];
    while !gone.load(Ordering::Relaxed) {
        let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        // An error (a signal, a device that goes down) is looked at by the next read.
        let _ = poll(&mut ready, PollTimeout::from(LOOK));
        while let Ok(length) = from.recv(&mut buffer) {
            let lost = rand::rng().random_bool(quality.loss);
            if let (false, Some(frame)) = (lost, buffer.get(..length)) {
                // A full cable loses frames, as a real queue does.
                let _ = sender.try_send((Instant::now() + quality.delay, frame.to_vec()));
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
        let _ = to.send(&frame);
    }
}
