//! Connections of the host to what listens in the guest, whatever network it has: a request's body goes in, the
//! answer's comes out, and each direction ends by itself.
//!
//! ```text
//! counted --place connected--> relayed --both directions ended--> closed
//!            refused: an answer           |  host gone, request reset, socket broken: reset on both sides
//! ```

mod place;
mod relay;
mod socket;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::StatusCode;

use crate::http::{Failure, Query, send_head};
use place::Place;

const MOST_CONNECTIONS: usize = 256;
const BYTES: &str = "application/octet-stream";

/// how many there are, those that are being made included
#[derive(Default)]
pub struct Connections(Cell<usize>);

/// one of them
struct Counted(Rc<Connections>);

impl Connections {
    fn count(self: &Rc<Self>) -> Result<Counted, Failure> {
        if self.0.get() >= MOST_CONNECTIONS {
            return Err(Failure::too_many(&format!("{MOST_CONNECTIONS} connections are open")));
        }
        self.0.set(self.0.get() + 1);
        Ok(Counted(self.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Connections(count) = &*self.0;
        count.set(count.get() - 1);
    }
}

/// Connects to what the query names, and stays until the connection has ended.
pub async fn serve(
    connections: &Rc<Connections>,
    query: &Query<'_>,
    body: RecvStream,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), Failure> {
    let place = Place::read(query)?;
    let _counted = connections.count()?;
    let socket = tokio::select! {
        connected = place.connect() => connected?,
        _ = poll_fn(|context| respond.poll_reset(context)) => return Ok(()), // nobody waits for it any more
    };
    if let Some(stream) = send_head(respond, StatusCode::OK, BYTES) {
        relay::relay(socket, body, stream).await;
    }
    Ok(())
}
