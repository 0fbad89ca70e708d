//! The language of scenarios: TOML with a cluster, loads, faults and expectations. Each kind is defined once, where it is
//! carried out; what is read here is typed and within bounds.

pub mod catalogue;
mod key;
pub mod part;
mod reader;
pub mod registry;
pub mod schema;
pub mod template;
pub(crate) mod values;
pub mod vary;

use std::path::Path;
use std::sync::Arc;

use sha1::{Digest as _, Sha1};

use crate::error::Error;
use crate::expect::{self, Expectation};
use crate::fault::{self, Fault};
use crate::load::{self, Load};
use crate::random::{Amount, Random};
pub use key::{Default, Key, Takes};
use part::Part;
pub use reader::{Reader, keys_of, suggestion};
pub use values::duration;

/// A scenario has a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;
const MAX_NODES: u64 = 5000;
/// Room for four thousand pods in each namespace's first subnet.
const SUBNET_PREFIX: u8 = 20;
const POOL_PREFIX: u8 = 8;
/// What a scenario draws before its world is there comes from a generator of its own.
const BEFORE_THE_WORLD: u64 = 0x005c_ea10;
/// TOML's integers end here.
const MAX_SEED: u64 = i64::MAX.cast_unsigned();

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// How many nodes, each with a switch and a controller.
    pub nodes: usize,
    /// How many sandboxes a node's runtime works on at once.
    pub parallel: usize,
    /// Whether each switch has a second controller, which takes over when the first is lost.
    pub standby: bool,
    /// Prefix length of the subnets that the monitor makes.
    pub subnet_prefix: u8,
    /// Prefix length of the range that it makes them from: 10.0.0.0 and so many bits.
    pub pool_prefix: u8,
}

impl std::default::Default for Cluster {
    fn default() -> Self {
        Self { nodes: 1, parallel: 8, standby: false, subnet_prefix: SUBNET_PREFIX, pool_prefix: POOL_PREFIX }
    }
}

impl Cluster {
    /// Whether the addresses are others than any world has.
    pub fn has_own_addresses(&self) -> bool {
        (self.subnet_prefix, self.pool_prefix) != (SUBNET_PREFIX, POOL_PREFIX)
    }
}

/// What is simulated, as far as the scenario says; the rest is the seed's to decide.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    nodes: Amount,
    parallel: Amount,
    standby: bool,
    subnet_prefix: u8,
    pool_prefix: u8,
}

impl Size {
    /// Reads `[cluster]`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let about = "how many nodes there are, each with a switch and a controller";
        let nodes = reader.amount("nodes", about, Some(1), 1..=MAX_NODES)?;
        let about = "how many sandboxes a node's runtime works on at once";
        let parallel = reader.amount("parallel", about, Some(8), 1..=256)?;
        let about = "whether each switch has a second controller, which takes over when the first is lost";
        let standby = reader.flag("standby", about, false)?;
        let about = "how many bits of an address tell a namespace's subnets apart: 28 leaves room for 13 pods in each";
        let subnet_prefix = reader.number("subnet_prefix", about, Some(SUBNET_PREFIX.into()), 12..=29)?;
        let about =
            "how many bits the addresses of all subnets have in common: 10.0.0.0/8 has room for everybody";
        let pool_prefix = reader.number("pool_prefix", about, Some(POOL_PREFIX.into()), 8..=28)?;
        let prefix = |number| u8::try_from(number).unwrap_or(SUBNET_PREFIX);
        let (subnet_prefix, pool_prefix) = (prefix(subnet_prefix), prefix(pool_prefix));
        Ok(Self { nodes, parallel, standby, subnet_prefix, pool_prefix })
    }

    /// The cluster of a seed.
    pub fn draw(&self, seed: u64) -> Cluster {
        let random = Random::seeded(seed ^ BEFORE_THE_WORLD);
        Cluster {
            nodes: self.nodes.draw(&random),
            parallel: self.parallel.draw(&random),
            standby: self.standby,
            subnet_prefix: self.subnet_prefix,
            pool_prefix: self.pool_prefix,
        }
    }

    /// How many nodes there are whatever the seed.
    fn least_nodes(&self) -> u64 {
        self.nodes.bounds().0
    }
}

/// What a scenario says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    title: String,
    why: String,
    seed: u64,
}

impl Head {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let said = |text: &str| {
            if text.trim().is_empty() { Err("it says nothing".to_owned()) } else { Ok(()) }
        };
        let why = "why there is such a scenario: the incident that it is about, with its source";
        Ok(Self {
            why: reader.text_that("why", why, None, |text| said(text).and_then(|()| has_sources(text)))?,
            title: reader.text_that("title", "what happens, in one line", None, said)?,
            seed: reader.number("seed", "the seed of a run that names none", Some(1), 0..=MAX_SEED)?,
        })
    }
}

/// Whether each issue that is named can be found: `owner/repository#number`.
fn has_sources(why: &str) -> Result<(), String> {
    let letters = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && part.chars().all(known)
    };
    for (at, _) in why.match_indices('#') {
        let before = why[..at].rsplit(|c: char| c.is_whitespace() || "(,;".contains(c)).next().unwrap_or("");
        let number = why[at + 1..].starts_with(|c: char| c.is_ascii_digit());
        let repository = before.split_once('/').is_some_and(|(owner, name)| letters(owner) && letters(name));
        if number && !repository {
            return Err("name an issue so that it can be found: owner/repository#number".to_owned());
        }
    }
    Ok(())
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its path without the ending, for reports.
    pub name: String,
    /// The path it was read from.
    pub path: String,
    /// A digest of its text.
    pub content: String,
    /// One line for people.
    pub title: String,
    /// The incident that it is about.
    pub why: String,
    /// The seed of a run that names none.
    pub seed: u64,
    /// What is simulated.
    pub cluster: Size,
    /// What the cluster does.
    pub loads: Vec<Part<dyn Load>>,
    /// What goes wrong.
    pub faults: Vec<Part<dyn Fault>>,
    /// What must hold in the end.
    pub expectations: Vec<Arc<dyn Expectation>>,
}

impl Scenario {
    /// Reads a scenario's file.
    ///
    /// # Errors
    /// [`Error::Scenario`] with file, line and column, or [`Error::File`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
            return Err(failed(std::io::Error::other(format!("longer than {MAX_BYTES} bytes"))));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a scenario's text; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Scenario`] with line and column.
    pub fn parse(path: &str, text: &str) -> Result<Self, Error> {
        let document = reader::document(path, text)?;
        let root = Reader::root(path, text, &document);
        let nothing = root.error("a scenario needs at least one [[load]]");
        let scenario = root.whole(|root| {
            let cluster = root.table("cluster")?.whole(Size::read)?;
            root.with_nodes(cluster.least_nodes());
            let loads = root.tables("load")?.into_iter();
            let loads = loads.map(|table| Part::read(load::KINDS, load::only, table));
            let loads = loads.collect::<Result<_, _>>()?;
            let faults = root.tables("fault")?.into_iter();
            let faults = faults.map(|table| Part::read(fault::KINDS, fault::only, table));
            let faults = faults.collect::<Result<_, _>>()?;
            let expectations = root.tables("expect")?.into_iter();
            let expected = |table| registry::read(expect::KINDS, table, |kind, reader| (kind.read)(reader));
            let expectations = expectations.map(expected).collect::<Result<_, _>>()?;
            let Head { title, why, seed } = Head::read(root)?;
            Ok(Self {
                name: Path::new(path).with_extension("").display().to_string(),
                path: path.to_owned(),
                content: format!("{:x}", Sha1::digest(text)),
                why,
                title,
                seed,
                cluster,
                loads,
                faults,
                expectations,
            })
        })?;
        if scenario.loads.is_empty() {
            return Err(nothing);
        }
        Ok(scenario)
    }
}

/// All scenarios at these paths: files, and `*.toml` below directories, sorted.
///
/// # Errors
/// A path that is not there or has none, or the first scenario that is invalid.
pub fn collect(paths: &[std::path::PathBuf]) -> Result<Vec<Scenario>, Error> {
    files(paths)?.iter().map(|file| Scenario::load(file)).collect()
}

/// The files of all scenarios at these paths: files, and `*.toml` below directories, sorted.
///
/// # Errors
/// A path that is not there or has none.
pub fn files(paths: &[std::path::PathBuf]) -> Result<Vec<std::path::PathBuf>, Error> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        find(path, &mut files)?;
        if files.len() == before {
            return Err(Error::Nothing(path.clone()));
        }
    }
    Ok(files)
}

fn find(path: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let mut entries = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            find(&entry, files)?;
        } else if entry.extension().is_some_and(|ending| ending == "toml") {
            files.push(entry);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "title = \"t\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\n";

    fn refusal(text: &str) -> String {
        Scenario::parse("x.toml", text).expect_err("refused").to_string()
    }

    #[test]
    fn the_smallest_scenario_has_defaults() {
        let scenario = Scenario::parse("dir/x.toml", VALID).unwrap();
        assert_eq!((scenario.name.as_str(), scenario.seed), ("dir/x", 1));
        assert_eq!(scenario.cluster.draw(1), Cluster::default());
    }

    #[test]
    fn a_cluster_that_is_left_to_the_seed_is_drawn_and_the_same_for_the_same_seed() {
        let text = format!("{VALID}[cluster]\nnodes = \"2..40\"\n");
        let cluster = Scenario::parse("x.toml", &text).unwrap().cluster;
        let drawn: Vec<usize> = (0..50).map(|seed| cluster.draw(seed).nodes).collect();
        assert!(drawn.iter().all(|nodes| (2..=40).contains(nodes)));
        assert!(drawn.iter().any(|nodes| *nodes != drawn[0]));
        assert_eq!(drawn[7], cluster.draw(7).nodes);
    }

    #[test]
    fn a_node_that_not_every_seed_has_cannot_be_named() {
        let text = |node: &str| {
            format!(
                "title = \"t\"\nwhy = \"w\"\n[cluster]\nnodes = \"2..9\"\n[[load]]\nkind = \"drain\"\nat = \"1s\"\nnode = {node}\n"
            )
        };
        assert!(Scenario::parse("x.toml", &text("2")).is_ok());
        assert_eq!(refusal(&text("3")), "x.toml:8:8: node must be from 1 to 2");
    }

    #[test]
    fn an_incident_is_named_so_that_it_can_be_found() {
        let named = |why: &str| VALID.replace("\"w\"", &format!("\"{why}\""));
        for why in
            ["", " ", "#4350: a node was out of order", "issue #7", "calico#7220 and more", "/x#1", "a/b/c#1"]
        {
            assert!(refusal(&named(why)).starts_with("x.toml:2:7: "), "{why}");
        }
        for why in [
            "Azure/azure-container-networking#4350: leaks",
            "two (ovn-org/ovn-kubernetes#6709, antrea-io/antrea#276)",
            "nuage-cni 2020: C# is no issue",
        ] {
            assert!(Scenario::parse("x.toml", &named(why)).is_ok(), "{why}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_where_it_stands_with_the_nearest_one() {
        let text = format!("{VALID}hodl = \"3s\"\n");
        assert_eq!(refusal(&text), "x.toml:5:1: unknown key \"hodl\"; did you mean \"hold\"?");
        let text = VALID.replace("title", "titel");
        assert!(
            refusal(&text).starts_with("x.toml:1:1: unknown key \"titel\"; did you mean \"title\"?"),
            "{}",
            refusal(&text)
        );
    }

    #[test]
    fn an_unknown_kind_names_those_that_there_are() {
        let text = VALID.replace("\"pod\"", "\"pdo\"");
        assert!(
            refusal(&text).contains("x.toml:4:8: unknown kind \"pdo\"; did you mean \"pod\"?"),
            "{}",
            refusal(&text)
        );
    }

    #[test]
    fn a_key_that_is_missing_is_missed_and_its_neighbours_are_not_unknown() {
        let text = format!("{VALID}[[expect]]\nkind = \"latency\"\np99_max = \"1s\"\n");
        assert_eq!(refusal(&text), "x.toml:5:1: \"op\" is missing");
        let text = format!("{VALID}[[expect]]\nkind = \"latency\"\nopp = \"ADD\"\np99_max = \"1s\"\n");
        assert_eq!(refusal(&text), "x.toml:7:1: unknown key \"opp\"; did you mean \"op\"?");
        let text = format!("{VALID}[[expect]]\nknid = \"latency\"\n");
        assert_eq!(refusal(&text), "x.toml:6:1: unknown key \"knid\"; did you mean \"kind\"?");
    }

    #[test]
    fn wrong_types_values_and_toml_are_refused_where_they_stand() {
        let cases = [
            (format!("{VALID}count = \"x\"\n"), "x.toml:5:9: "),
            (format!("{VALID}count = 0\n"), "x.toml:5:9: "),
            (format!("{VALID}count = \"9..3\"\n"), "x.toml:5:9: "),
            (format!("{VALID}count = \"1..20000\"\n"), "x.toml:5:9: count must be from 1 to 10000"),
            (format!("{VALID}name = \"Not/A Name\"\n"), "x.toml:5:8: "),
            (format!("{VALID}hold = \"3 parsecs\"\n"), "x.toml:5:8: "),
            (format!("{VALID}hold = \"9s..3s\"\n"), "x.toml:5:8: "),
            ("title = \n".to_owned(), "x.toml:1:"),
            ("title = \"t\"\nwhy = \"w\"\n".to_owned(), "x.toml:1:1: a scenario needs"),
            ("why = \"w\"\n[[load]]\nkind = \"pod\"\n".to_owned(), "x.toml:1:1: \"title\" is missing"),
        ];
        for (text, expected) in cases {
            assert!(refusal(&text).starts_with(expected), "{text}: {}", refusal(&text));
        }
    }
}
