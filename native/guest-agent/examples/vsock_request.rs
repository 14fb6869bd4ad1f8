//! Asks the agent about itself over AF_VSOCK, from within the same VM, and prints the answer. Run as root: the agent
//! serves none of the guest's other users.

use std::error::Error;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use http::Request;

const PORT: u32 = 7300;
/// of those that only root may use
const OWN_PORT: u32 = 1023;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket = UnixStream::from(connect()?);
    socket.set_nonblocking(true)?;
    let (mut requests, connection) = h2::client::handshake(tokio::net::UnixStream::from_std(socket)?).await?;
    tokio::spawn(connection);
    let request = Request::get("http://guest/v1/agent").body(())?;
    let (answer, _) = requests.send_request(request, true)?;
    let mut body = answer.await?.into_body();
    let mut text = Vec::new();
    while let Some(chunk) = body.data().await {
        text.extend_from_slice(&chunk?);
    }
    println!("{}", String::from_utf8(text)?);
    Ok(())
}

fn connect() -> io::Result<OwnedFd> {
    // SAFETY: the fresh descriptor is ours.
    let socket = unsafe {
        OwnedFd::from_raw_fd(check(libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))?)
    };
    let size = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    let (own, theirs) = (address(libc::VMADDR_CID_ANY, OWN_PORT), address(libc::VMADDR_CID_LOCAL, PORT));
    // SAFETY: both addresses are valid for their size.
    unsafe {
        check(libc::bind(socket.as_raw_fd(), (&raw const own).cast(), size))?;
        check(libc::connect(socket.as_raw_fd(), (&raw const theirs).cast(), size))?;
    }
    Ok(socket)
}

fn address(cid: u32, port: u32) -> libc::sockaddr_vm {
    // SAFETY: all zeros is a valid address.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    (address.svm_cid, address.svm_port) = (cid, port);
    address
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
