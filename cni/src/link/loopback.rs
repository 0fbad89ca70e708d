//! The loopback device of a network namespace: up or down. Nothing else in the namespace is touched.

use rtnetlink::LinkUnspec;

use super::namespace;
use super::netlink::{kernel, message};
use crate::host::{LinkError, Netns};

/// The kernel makes it with the namespace and calls it so.
pub(crate) const NAME: &str = "lo";

/// Sets the loopback device of `netns` up, or down. The kernel gives it its addresses when it goes up.
///
/// # Errors
/// The kernel's refusal; [`LinkError::NoSuchLink`] where there is none.
pub(crate) async fn set(netns: &Netns, up: bool) -> Result<(), LinkError> {
    let handle = namespace::connect(Some(netns))?;
    let found = message(&handle, NAME).await?.ok_or_else(|| LinkError::NoSuchLink(NAME.to_owned()))?;
    let builder = LinkUnspec::new_with_index(found.header.index);
    let wanted = if up { builder.up() } else { builder.down() }.build();
    let done = handle.link().set(wanted).execute().await;
    done.map_err(|error| kernel(format!("setting link {NAME} {}", if up { "up" } else { "down" }), &error))
}
