//! The virtio-serial port. It is always open in the guest; whether the host is there shows only in reads that give
//! nothing (it is away) or would block (it is there and silent).
//!
//! An ordinary poll reports HUP for as long as the host is away, over and over; so the port sits in an edge-triggered
//! epoll of its own, which tells of each change once, and that epoll is what the event loop watches.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::session;
use crate::device_events::DeviceEvents;
use crate::http::Agent;
use crate::sys;

const PORT_NAME: &str = "org.workfort.agent.0";

/// Serves the port with the agent's name as soon as there is one.
pub async fn find_and_serve(agent: &Rc<Agent>) -> io::Result<()> {
    let path = DeviceEvents::listen()?.until(find_port).await?;
    serve(&path, agent).await
}

fn find_port() -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?;
    ports.flatten().find_map(|port| {
        let name = fs::read_to_string(port.path().join("name")).ok()?;
        (name.trim() == PORT_NAME).then(|| Path::new("/dev").join(port.file_name()))
    })
}

/// Serves one session after the other for as long as the device is there.
pub async fn serve(path: &Path, agent: &Rc<Agent>) -> io::Result<()> {
    let device = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let edges = sys::watch(sys::edge_poll(&device)?, Interest::READABLE)?;
    let mut port = Port { device, edges };
    loop {
        session::serve_greeted(&mut port, agent).await?;
        port.change().await?; // the host is away
    }
}

struct Port {
    device: File,
    edges: AsyncFd<OwnedFd>,
}

impl Port {
    async fn change(&self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_change(context)).await
    }

    fn poll_change(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut guard = ready!(self.edges.poll_read_ready(context))?;
        sys::take_edges(&self.edges);
        guard.clear_ready();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Port {
    /// Gives nothing when the host is away.
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match sys::read_into(self.device.as_fd(), buffer) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_change(context))?,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncWrite for Port {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match sys::write(self.device.as_fd(), bytes) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_change(context))?,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
