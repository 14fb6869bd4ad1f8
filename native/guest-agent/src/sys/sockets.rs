//! Sockets of kinds that the standard library does not know.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// A listening AF_VSOCK socket on any CID.
pub fn vsock_listen(port: u32) -> io::Result<OwnedFd> {
    // SAFETY: the fresh descriptor is ours; the address is valid for its size.
    unsafe {
        let socket = OwnedFd::from_raw_fd(check(libc::socket(
            libc::AF_VSOCK,
            libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            0,
        ))?);
        let mut address: libc::sockaddr_vm = std::mem::zeroed();
        address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
        address.svm_port = port;
        address.svm_cid = libc::VMADDR_CID_ANY;
        let size = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
        check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size))?;
        check(libc::listen(socket.as_raw_fd(), 16))?;
        Ok(socket)
    }
}

/// the other end of an AF_VSOCK connection
pub struct VsockPeer {
    pub cid: u32,
    pub port: u32,
}

pub fn vsock_accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, VsockPeer)> {
    // SAFETY: the address is valid for writing its size; the fresh descriptor is ours.
    unsafe {
        let mut address: libc::sockaddr_vm = std::mem::zeroed();
        let mut size = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
        let fd = libc::accept4(
            listener.as_raw_fd(),
            (&raw mut address).cast(),
            &mut size,
            libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        );
        Ok((OwnedFd::from_raw_fd(check(fd)?), VsockPeer { cid: address.svm_cid, port: address.svm_port }))
    }
}

/// A socket on which the kernel tells of every device that comes, changes or goes.
pub fn device_events() -> io::Result<OwnedFd> {
    const FROM_KERNEL: u32 = 1;
    // SAFETY: the fresh descriptor is ours; the address is valid for its size.
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let socket = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_KOBJECT_UEVENT))?);
        let mut address: libc::sockaddr_nl = std::mem::zeroed();
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = FROM_KERNEL;
        let size = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size))?;
        Ok(socket)
    }
}

/// A socket on which the kernel is asked about interfaces, addresses and routes; it answers at once or not at all.
pub fn route_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the fresh descriptor is ours.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE))?)) }
}

/// Whether closing a TCP socket aborts the connection, with what has not arrived yet.
pub fn abort_on_close(socket: &impl AsRawFd, abort: bool) -> io::Result<()> {
    let linger = libc::linger { l_onoff: abort.into(), l_linger: 0 };
    let size = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the record is valid for reading its size.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size)
    };
    check(result).map(drop)
}

/// Brings the loopback interface up.
pub fn loopback_up() -> io::Result<()> {
    // SAFETY: `request` is a valid ifreq with a NUL-terminated name.
    unsafe {
        let socket =
            OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request)).map(drop)
    }
}
