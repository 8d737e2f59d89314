//! `healthcheck`: requests `/-/healthy` from a running exporter, for containers without a shell or curl.
//!
//! It uses `web.health_address` if that is configured. Otherwise it speaks to the main port as the web configuration
//! says, but sends no password and no client certificate: if the exporter asks for them, it is running.

mod request;
mod trust;

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Outcome, setup, terminal};
use crate::config::{Flags, Local, Sockets, WebFlags};
use crate::http::listen::Listen;
use crate::web::Checked;
use request::{Error, Evidence, send};
use trust::Trust;

/// Request /-/healthy from a running exporter, for containers without a shell
#[derive(Debug, Clone, Args)]
pub(crate) struct Healthcheck {
    /// The configuration file of the exporter, which has its address
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// The address of the exporter; the configured one if left out
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen_address: Option<String>,
    /// The exporter's health-only address [default: as configured]
    #[arg(long = "web.health-address", value_name = "ADDRESS")]
    health_address: Option<String>,
    /// The web configuration of the exporter; the configured one if left out
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<String>,
    /// The URL to request, instead of the exporter's own address
    #[arg(long, value_name = "URL")]
    #[arg(conflicts_with_all = ["config_file", "listen_address", "health_address", "web_config_file"])]
    url: Option<String>,
    /// The CAs of the exporter's certificate (PEM); by default only the configured certificate is accepted, or with
    /// --url any that the platform trusts
    #[arg(long = "ca-file", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Accept any certificate of the exporter
    #[arg(long, conflicts_with = "ca_file")]
    insecure: bool,
}

/// What to request, and which certificate to accept.
struct Target {
    url: String,
    trust: Trust,
}

impl Healthcheck {
    pub(crate) fn run(&self) -> Outcome {
        let Target { url, trust } = self.target()?;
        let evidence = setup::block_on(send(&url, trust))?.map_err(|error| match error {
            Error::Url(_) | Error::Trust(_) => Failure::usage(error),
            _ => Failure::runtime(error),
        })?;
        terminal::print(match evidence {
            Evidence::Healthy => format!("{url} answers 200\n"),
            Evidence::Refused(status) => format!("{url} answers {status}, so the exporter runs\n"),
            Evidence::AsksForCertificate => {
                format!(
                    "{url} requires a client certificate, so the exporter runs; set web.health_address to ask for more\n"
                )
            }
        })
    }

    fn target(&self) -> Result<Target, Failure> {
        let found = match &self.url {
            Some(url) => Target { url: url.clone(), trust: Trust::Platform },
            None => configured(&Local::load(&self.flags(), std::env::vars_os())?.web)?,
        };
        let trust = match &self.ca_file {
            Some(path) => Trust::from_file(path).map_err(Failure::usage)?,
            None if self.insecure => Trust::Any,
            None => found.trust,
        };
        Ok(Target { trust, ..found })
    }

    fn flags(&self) -> Flags {
        let web = WebFlags {
            listen_address: self.listen_address.iter().cloned().collect(),
            health_address: self.health_address.clone(),
            web_config_file: self.web_config_file.clone(),
            ..WebFlags::default()
        };
        Flags { config_file: self.config_file.clone(), web, ..Flags::default() }
    }
}

/// The health of an exporter that is configured so.
fn configured(web: &crate::config::Web) -> Result<Target, Failure> {
    let url = |scheme, listen: &Listen| format!("{scheme}://{}/-/healthy", Listen::reach(listen.preferred()));
    if let Some(address) = &web.health_address {
        return Ok(Target { url: url("http", address), trust: Trust::Platform });
    }
    let Sockets::Bind(addresses) = &web.sockets else {
        let problem = "web.systemd_socket is true, so the address is not known here; set web.health_address, or use --url";
        return Err(Failure::usage(problem));
    };
    let address = addresses.first().expect("at least one address is configured");
    let checked = web.config_file.as_deref().map(Checked::load).transpose()?;
    Ok(match checked.as_ref().and_then(Checked::certificate) {
        Some(certificate) => Target { url: url("https", address), trust: Trust::Only(certificate.clone()) },
        None => Target { url: url("http", address), trust: Trust::Platform },
    })
}
