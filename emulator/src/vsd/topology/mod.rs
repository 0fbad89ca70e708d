//! A VSD's objects as a text that a person can write: tables named as the API names entities, one below the other as
//! the objects are. Works over the REST API alone, so that it does with any VSD. Never deletes anything.
//!
//! ```toml
//! [[enterprise]]
//! name = "acme"
//!
//! [[enterprise.domaintemplate]]
//! as = "plain"
//! name = "Plain"
//!
//! [[enterprise.domain]]
//! name = "web"
//! templateID = "@plain"
//! ```
//!
//! `as` gives an object a name within the text, `@name` stands for its ID; a text that begins with `@` is written
//! `@@`. A list of `@name`s under the name of an entity says which objects are members.

mod document;
mod export;
mod import;

use serde_json::Value;

pub use export::export;
pub use import::{Outcome, import};

use super::client;

/// Entities that are made by what runs, not by who plans: they are not exported. Users are not either: their
/// passwords cannot be.
const LEFT_OUT: [&str; 8] =
    ["container", "containerinterface", "vm", "vminterface", "user", "job", "certificate", "license"];
/// Attributes that the server fills where a client does not, and that a plan consists of all the same.
const PLANNED: [&str; 3] = ["address", "gateway", "netmask"];

/// Why a topology could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no TOML.
    #[error("{0}")]
    Syntax(Box<toml::de::Error>),
    /// It says something that the model does not know.
    #[error("{place}: {reason}")]
    Meaning {
        /// Which table.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The VSD.
    #[error("{place}: {source}")]
    Vsd {
        /// At which object.
        place: String,
        /// What it said.
        source: client::Error,
    },
    /// There is more than is dealt with.
    #[error("more than {0} objects")]
    TooMany(usize),
}

/// The most objects of one text.
const MOST_OBJECTS: usize = 100_000;

fn at(place: &str) -> impl FnOnce(client::Error) -> Error + use<> {
    let place = place.to_owned();
    move |source| Error::Vsd { place, source }
}

/// A table, and what it stands for.
#[derive(Clone, Debug, Default)]
struct Node {
    entity: &'static str,
    /// Where it stands, for people.
    place: String,
    /// What others call it by.
    label: Option<String>,
    attributes: Vec<(&'static str, Setting)>,
    /// Labels of its members, by their entity.
    members: Vec<(&'static str, Vec<String>)>,
    children: Vec<Node>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
enum Setting {
    Value(Value),
    /// The ID of the object with this label.
    Reference(String),
}
