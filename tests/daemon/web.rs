//! The web configuration over real sockets: TLS, client certificates, passwords, headers, and changes while it is served.

mod certificates;
mod configuration;
mod guard;
mod kept;
mod listeners;
mod logins;
mod process;
mod rig;
mod tls;
