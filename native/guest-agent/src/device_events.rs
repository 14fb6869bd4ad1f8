//! Waiting for devices: the kernel tells when anything about them changes; what it is, the waiter looks up itself.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use tokio::io::Interest;

use crate::sys;

/// for a device to appear
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Looks now and after every change until something is found, or `PATIENCE` has run out.
pub fn wait_for<T>(look: impl Fn() -> Option<T>) -> io::Result<Option<T>> {
    let begun = Instant::now();
    let events = DeviceEvents::listen()?;
    loop {
        let found = look();
        let patience = PATIENCE.saturating_sub(begun.elapsed());
        if found.is_some() || patience.is_zero() {
            return Ok(found);
        }
        events.block(patience);
    }
}

pub struct DeviceEvents {
    socket: OwnedFd,
}

impl DeviceEvents {
    /// Begin before looking for the device, and no change is missed.
    pub fn listen() -> io::Result<Self> {
        Ok(DeviceEvents { socket: sys::device_events()? })
    }

    /// Returns after a change, or when `patience` has run out.
    fn block(&self, patience: Duration) {
        sys::await_readable(&self.socket, patience);
        take_all(&self.socket);
    }

    /// Calls `look` now and after every change until it finds something.
    pub async fn until<T>(self, look: impl Fn() -> Option<T>) -> io::Result<T> {
        let socket = sys::watch(self.socket, Interest::READABLE)?;
        loop {
            take_all(socket.get_ref());
            if let Some(found) = look() {
                return Ok(found);
            }
            socket.readable().await?.clear_ready();
        }
    }
}

/// Empties the socket; an overflow of it is a change, too.
fn take_all(socket: &OwnedFd) {
    let mut event = [0; 4096];
    loop {
        match sys::read(socket.as_fd(), &mut event) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => {}
        }
    }
}
