//! The language of scenarios: TOML with a cluster, loads, faults and expectations. Each kind is defined once, where it is
//! carried out; what is read here is typed and within bounds.

mod reader;
pub mod registry;

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::expect::{self, Expectation};
use crate::fault::{self, Fault};
use crate::load::{self, Load};
pub use reader::{Key, Reader, keys_of, suggestion};
use registry::Kind;

/// A scenario has a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;
const MAX_NODES: u64 = 5000;
/// TOML's integers end here.
const MAX_SEED: u64 = i64::MAX.cast_unsigned();

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// How many nodes, each with a switch and a controller.
    pub nodes: usize,
    /// How many sandboxes a node's runtime works on at once.
    pub parallel: usize,
}

impl Cluster {
    /// Reads `[cluster]`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let nodes = reader.count("nodes", Some(1), 1..=MAX_NODES)?;
        let parallel = reader.count("parallel", Some(8), 1..=256)?;
        Ok(Self { nodes, parallel })
    }
}

fn all<T: ?Sized>(kinds: &'static [Kind<T>], tables: Vec<Reader<'_>>) -> Result<Vec<Arc<T>>, Error> {
    tables.into_iter().map(|table| registry::read(kinds, table)).collect()
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its path without the ending, for reports.
    pub name: String,
    /// The path it was read from.
    pub path: String,
    /// One line for people.
    pub title: String,
    /// The incident that it is about.
    pub why: String,
    /// The seed of a run that names none.
    pub seed: u64,
    /// What is simulated.
    pub cluster: Cluster,
    /// What the cluster does.
    pub loads: Vec<Arc<dyn Load>>,
    /// What goes wrong.
    pub faults: Vec<Arc<dyn Fault>>,
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
            let cluster = root.table("cluster")?.whole(Cluster::read)?;
            root.with_nodes(cluster.nodes);
            let seed = root.number("seed", Some(1), 0..=MAX_SEED)?;
            let loads = all(load::KINDS, root.tables("load")?)?;
            let faults = all(fault::KINDS, root.tables("fault")?)?;
            let expectations = all(expect::KINDS, root.tables("expect")?)?;
            Ok(Self {
                name: Path::new(path).with_extension("").display().to_string(),
                path: path.to_owned(),
                why: root.text("why", None)?,
                title: root.text("title", None)?,
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
    let mut scenarios = Vec::new();
    for path in paths {
        let mut files = Vec::new();
        find(path, &mut files)?;
        if files.is_empty() {
            return Err(Error::Nothing(path.clone()));
        }
        for file in files {
            scenarios.push(Scenario::load(&file)?);
        }
    }
    Ok(scenarios)
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
        assert_eq!((scenario.name.as_str(), scenario.cluster.nodes, scenario.seed), ("dir/x", 1, 1));
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
    fn wrong_types_values_and_toml_are_refused_where_they_stand() {
        let cases = [
            (format!("{VALID}count = \"x\"\n"), "x.toml:5:9: "),
            (format!("{VALID}count = 0\n"), "x.toml:5:9: "),
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
