//! Files of the guest. What is asked for is done by a worker, a process of its own with the ids of the user it is done
//! for: permissions are the kernel's, and a pipe or a dead network mount hangs a worker and never the agent.
//!
//!   host ── HTTP/2 ──▶ relay ── stdin: the order and the body, in frames ──▶ worker
//!        ◀── HTTP/2 ──       ◀── stdout: one line of head, then the body ──
//!
//! `order` is what may be asked; `crew` starts, bounds and ends workers; `relay` carries bytes between them and the
//! host, as fast as the slower of the two takes them; `worker` is the other program.

mod crew;
mod order;
mod relay;
mod worker;

pub use crew::Crew;
pub use relay::serve;
pub use worker::work;

/// first argument of the agent's program where it is to be a worker
pub const WORKER_ARGUMENT: &str = "--file-worker";
