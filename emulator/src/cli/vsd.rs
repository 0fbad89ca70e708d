//! `emulator vsd`: what a VSD holds, from a text and to a text.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::access::Access;
use super::say;
use crate::error::Error;
use crate::http::remote;
use crate::vsd::client::Client;
use crate::vsd::policy::{self, Domain, Endpoint, Traffic};
use crate::vsd::topology;

const API: &str = "v6";
/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Make the objects that a TOML file describes, where they are missing or different
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        access: Access,
    },
    /// Print the objects as a TOML file that import reads; without what runs, and without users
    Export {
        #[command(flatten)]
        access: Access,
    },
    /// Say whether one may talk to another, and which ACL entry decides it
    #[command(after_help = EXPLAINED)]
    Explain(Explain),
}

const EXPLAINED: &str = "\
Examples:
  emulator vsd explain web db --dir /tmp/nuage --protocol tcp --port 5432
  emulator vsd explain 10.0.0.2 8.8.8.8 --dir /tmp/nuage --json
  emulator vsd explain web db --domain K8S-Domain --enterprise acme --vsd https://vsd:7443/nuage/api \\
    --ca ca.pem --cert user.pem --key user.key

FROM and TO are a pod's or VM's name, the name or ID of an interface or vPort, or an address; an address that nobody
in the domain has is outside of it. The answer is printed; the exit code says only whether there is one.";

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// Who begins to talk
    #[arg(value_name = "FROM")]
    from: String,
    /// Whom to
    #[arg(value_name = "TO")]
    to: String,
    /// tcp, udp, icmp, icmp6 or a number
    #[arg(long, value_name = "NAME", default_value = "tcp", value_parser = protocol)]
    protocol: u8,
    /// Destination port
    #[arg(long, value_name = "PORT", default_value_t = 80)]
    port: u16,
    /// Source port
    #[arg(long, value_name = "PORT", default_value_t = 49_152)]
    source_port: u16,
    /// Differentiated services code point
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..64))]
    dscp: u8,
    /// Talk IPv6, where both have both
    #[arg(long)]
    ipv6: bool,
    /// Name of the domain; not needed where there is one only
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Name of its enterprise; not needed where one only has a domain of that name
    #[arg(long, value_name = "NAME")]
    enterprise: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

fn protocol(text: &str) -> Result<u8, String> {
    match text {
        "icmp" => Ok(1),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmp6" => Ok(58),
        number => number.parse().map_err(|_| "is none of tcp, udp, icmp, icmp6, and no number".to_owned()),
    }
}

pub(super) async fn run(verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::Import { file, access } => {
            let text = read(&file)?;
            let outcome = topology::import(&client(&access)?, &text).await;
            let outcome = outcome.map_err(|error| Error::Topology { path: file, source: Box::new(error) })?;
            let topology::Outcome { created, updated, unchanged } = outcome;
            say(&format!("{created} created, {updated} updated, {unchanged} unchanged"));
        }
        Verb::Export { access } => {
            let text = topology::export(&client(&access)?).await;
            let text = text.map_err(|error| Error::Client(error.to_string()))?;
            let written = io::stdout().lock().write_all(text.as_bytes());
            written.map_err(|source| Error::File { path: "standard output".into(), source })?;
        }
        Verb::Explain(arguments) => explain(&arguments).await?,
    }
    Ok(())
}

async fn explain(arguments: &Explain) -> Result<(), Error> {
    let client = client(&arguments.access)?;
    let (enterprise, domain) = (arguments.enterprise.as_deref(), arguments.domain.as_deref());
    let domain = policy::read(&client, enterprise, domain).await;
    let domain = domain.map_err(|error| Error::Client(error.to_string()))?;
    let (from, to) = ends(&domain, arguments)?;
    let traffic = Traffic {
        protocol: arguments.protocol,
        source_port: arguments.source_port,
        destination_port: arguments.port,
        dscp: arguments.dscp,
    };
    let verdict = domain.may(&from, &to, traffic);
    say(&if arguments.json { verdict.json(&from, &to).to_string() } else { verdict.text(&from, &to) });
    Ok(())
}

/// The two ends, of one family.
fn ends(domain: &Domain, arguments: &Explain) -> Result<(Endpoint, Endpoint), Error> {
    let (from, to) = (meant(domain, &arguments.from)?, meant(domain, &arguments.to)?);
    for six in [arguments.ipv6, !arguments.ipv6] {
        let of = |all: &[Endpoint]| all.iter().find(|one| one.address.is_ipv6() == six).cloned();
        if let (Some(from), Some(to)) = (of(&from), of(&to)) {
            return Ok((from, to));
        }
    }
    Err(Error::Usage(format!(
        "{} and {} have no family of addresses in common",
        arguments.from, arguments.to
    )))
}

/// What a word means: all addresses of one interface, or an address outside.
fn meant(domain: &Domain, word: &str) -> Result<Vec<Endpoint>, Error> {
    let found: Vec<Endpoint> = domain.find(word).into_iter().cloned().collect();
    match found.first() {
        Some(first) if found.iter().any(|other| other.names != first.names) => {
            let all: Vec<String> = found.iter().map(|end| end.address.to_string()).collect();
            Err(Error::Usage(format!("{word} may be any of {}", all.join(", "))))
        }
        Some(_) => Ok(found),
        None => match word.parse() {
            Ok(address) => Ok(vec![Endpoint::outside(address)]),
            Err(_) => Err(Error::Usage(format!("{} has nobody called {word}", domain.name))),
        },
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let length = std::fs::metadata(path).map_err(Error::file(path))?.len();
    if length > LARGEST_FILE {
        return Err(Error::Usage(format!("{} has more than {LARGEST_FILE} bytes", path.display())));
    }
    std::fs::read_to_string(path).map_err(Error::file(path))
}

fn client(access: &Access) -> Result<Client, Error> {
    let (url, identity) = access.open()?;
    let http = remote(&identity).map_err(|error| Error::Client(error.to_string()))?;
    Ok(Client::new(http, &format!("{}/{API}", url.trim_end_matches('/'))))
}
