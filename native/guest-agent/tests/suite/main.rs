//! The agent as an ordinary process, spoken to over a Unix socket as the host would over a virtio-serial port.
//! Run by `cargo test`; needs a POSIX shell with the usual tools. What needs root is passed over without it.

mod agent;
mod client;
mod frames;
mod place;

mod archives;
mod bounds;
mod connections;
mod drafts;
mod endurance;
mod files;
mod hostility;
mod identity;
mod output;
mod processes;
mod refusals;
mod signals;
mod stdin;
mod terminal_bounds;
mod terminal_client;
mod terminals;
mod transport;
mod users;
mod watching;
