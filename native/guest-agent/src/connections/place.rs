//! Where a connection goes: a port of the guest's own loopback, or a Unix socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::socket::Socket;
use crate::http::{Failure, Query};

/// for what listens to take the connection
const PATIENCE: Duration = Duration::from_secs(10);
/// nothing tells when the queue of a Unix socket has room again
const STEP: Duration = Duration::from_millis(20);
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
/// `sun_path` of unix(7), without the NUL
const PATH_BYTES: usize = 107;

#[derive(Debug, PartialEq)]
pub enum Place {
    Port(u16),
    Socket(String),
}

impl Place {
    pub fn read(query: &Query<'_>) -> Result<Self, Failure> {
        match (query.number("port")?, query.text("socket")?) {
            (Some(port), None) => match u16::try_from(port) {
                Ok(port) if port > 0 => Ok(Place::Port(port)),
                _ => Err(Failure::bad_request("query: port is a number from 1 to 65535")),
            },
            (None, Some(path)) if path.starts_with('/') && path.len() <= PATH_BYTES && !path.contains('\0') => {
                Ok(Place::Socket(path))
            }
            (None, Some(_)) => Err(Failure::bad_request(&format!(
                "query: socket is an absolute path of at most {PATH_BYTES} bytes without NUL"
            ))),
            _ => Err(Failure::bad_request("query: one of port and socket is needed")),
        }
    }

    pub async fn connect(&self) -> Result<Socket, Failure> {
        let mut tried = Vec::new();
        match tokio::time::timeout(PATIENCE, self.try_all(&mut tried)).await {
            Ok(Some(socket)) => return Ok(socket),
            Ok(None) => {}
            Err(_) => tried.push(format!("not taken within {} s", PATIENCE.as_secs())),
        }
        let name = match self {
            Place::Port(port) => format!("port {port}"),
            Place::Socket(path) => format!("socket {path}"),
        };
        Err(Failure::connection_refused(&format!("{name}: {}", tried.join(", "))))
    }

    /// None where nothing takes it; what was tried says why.
    async fn try_all(&self, tried: &mut Vec<String>) -> Option<Socket> {
        match self {
            Place::Port(port) => connect_to_port(*port, tried).await,
            Place::Socket(path) => connect_to_socket(path, tried).await,
        }
    }
}

async fn connect_to_port(port: u16, tried: &mut Vec<String>) -> Option<Socket> {
    for address in LOOPBACK {
        match TcpStream::connect((address, port)).await.and_then(Socket::of_tcp) {
            Ok(socket) => return Some(socket),
            Err(why) => tried.push(format!("{address}: {why}")),
        }
    }
    None
}

async fn connect_to_socket(path: &str, tried: &mut Vec<String>) -> Option<Socket> {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Some(Socket::of_unix(stream)),
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(STEP).await,
            Err(why) => {
                tried.push(why.to_string());
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(query: &str) -> Option<Place> {
        Place::read(&Query::parse(Some(query), &["port", "socket"]).unwrap()).ok()
    }

    #[test]
    fn is_a_port_or_a_socket() {
        assert_eq!(place("port=65535"), Some(Place::Port(65535)));
        assert_eq!(place("socket=/run/my%20app"), Some(Place::Socket("/run/my app".into())));
        let longest = format!("/{}", "x".repeat(PATH_BYTES - 1));
        assert_eq!(place(&format!("socket={longest}")), Some(Place::Socket(longest.clone())));
        for bad in ["", "port=0", "port=65536", "port=x", "port=1&socket=/a", "socket=", "socket=a", "socket=/a%00"] {
            assert_eq!(place(bad), None, "{bad}");
        }
        assert_eq!(place(&format!("socket={longest}x")), None);
    }
}
