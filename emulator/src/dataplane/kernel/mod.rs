//! What carries out steps in the kernel: namespaces, links, packet filters. Only inside namespaces that it was given; decides
//! nothing.

mod filters;
mod links;
mod namespace;
mod watch;

pub(super) use filters::{filter, is_there};
pub(super) use links::{Kernel, Wire};
pub(super) use namespace::Namespace;
pub(super) use watch::{LinkChange, Watch};

use crate::error::Error;

/// An error of the data plane: what could not be done, and what the system said.
pub(super) fn failed(what: impl Into<String>) -> impl FnOnce(&dyn std::fmt::Display) -> Error {
    let what = what.into();
    move |reason| Error::DataPlane { what, reason: reason.to_string() }
}
