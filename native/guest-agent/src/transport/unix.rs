//! A Unix socket that stands in for the virtio-serial port: the same hello, one session at a time.

use std::io;
use std::path::Path;
use std::rc::Rc;

use tokio::net::UnixListener;

use super::{hello, session};
use crate::http::Agent;

pub async fn serve(path: &Path, agent: Rc<Agent>) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        // as on the port, a broken session leads back to the hello on the same stream
        while let Ok(Some(prefix)) = hello::greet(&mut stream).await {
            session::serve(session::Prefixed { prefix, stream: &mut stream }, agent.clone()).await;
        }
    }
}
