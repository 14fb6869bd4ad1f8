//! A Unix socket that stands in for the virtio-serial port: the same hello, one session at a time.

use std::io;
use std::path::Path;
use std::rc::Rc;

use tokio::net::UnixListener;

use super::session;
use crate::http::Agent;

pub async fn serve(path: &Path, agent: Rc<Agent>) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let _ = session::serve_greeted(&mut stream, &agent).await; // a broken line is an ended one
    }
}
