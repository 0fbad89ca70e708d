//! `emulator up`: the whole site in one process, until a signal.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{End, say};
use crate::error::Error;
use crate::up::{Component, Options, Ports, Reach, Site};

/// No password is longer, in bytes.
const LONGEST_PASSWORD: usize = 1024;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    /// The site's directory: certificates, endpoints.json, a node's files, kubeconfigs
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// TCP ports: free ones, or the product's (VSD 8443 and 7443, monitor 9443, Kubernetes 6443, Mesos 5051)
    #[arg(long, value_enum, default_value = "auto")]
    ports: Ports,
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    bind: IpAddr,
    /// Run only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    only: Vec<Component>,
    /// Start the switches without their ready-made rows
    #[arg(long)]
    empty: bool,
    /// How many nodes, each with a switch of its own
    #[arg(long, value_name = "N", default_value_t = 1)]
    nodes: u16,
    /// Give each switch a second controller, which takes over when the first is lost (fault `vrs.controller_lost`)
    #[arg(long)]
    standby: bool,
    /// Keep the switches' rows and the VSD's objects in DIR/state. (The Kubernetes API begins anew.)
    #[arg(long)]
    persist: bool,
    /// Let the switches listen on TCP, too
    #[arg(long)]
    vrs_tcp: bool,
    /// Let the switches listen on TLS, too, for clients with a certificate of DIR/pki
    #[arg(long)]
    vrs_tls: bool,
    /// A name that clients of other machines call this one by, for certificates and URLs; may be given again
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// File whose first line is the password of csproot; without one, --bind takes no other address than this machine's own
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Folder with ca.pem and ca.key to issue certificates with, as the DIR/pki of an earlier run has them
    #[arg(long, value_name = "DIR")]
    authority: Option<PathBuf>,
}

/// The first line of a file.
fn password(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || line.len() > LONGEST_PASSWORD {
        return Err(Error::Usage(format!(
            "{}: a first line of 1 to {LONGEST_PASSWORD} bytes is expected",
            path.display()
        )));
    }
    Ok(line.to_owned())
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Error> {
    let components = if arguments.only.is_empty() { Component::ALL.to_vec() } else { arguments.only };
    let end = End::new()?;
    let site = Site::start(&Options {
        directory: arguments.dir,
        ports: arguments.ports,
        bind: arguments.bind,
        components: components.into_iter().collect(),
        empty: arguments.empty,
        nodes: arguments.nodes,
        standby: arguments.standby,
        persist: arguments.persist,
        vrs_tcp: arguments.vrs_tcp,
        vrs_tls: arguments.vrs_tls,
        reach: Reach {
            names: arguments.names,
            password: arguments.password_file.as_deref().map(password).transpose()?,
            authority: arguments.authority,
        },
    })
    .await?;
    for (name, endpoint) in site.endpoints().iter().filter_map(|(name, value)| Some((name, value.as_str()?)))
    {
        say(&format!("{name:9} {endpoint}"));
    }
    say(&format!("directory {}", site.path().display()));
    say("ready");
    end.wait().await;
    site.stop().await;
    Ok(())
}
