//! Which links a namespace has, told as they come and go. Never looks twice: the kernel tells.

use std::collections::VecDeque;
use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::SocketAddr;

use super::{Namespace, failed};
use crate::error::Error;

/// A link that is there, or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dataplane) struct LinkChange {
    /// Its name.
    pub(in crate::dataplane) name: String,
    /// The kernel's number of it.
    pub(in crate::dataplane) index: u32,
    /// Whether it is there.
    pub(in crate::dataplane) is_there: bool,
}

type Messages = Pin<Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Send>>;

/// The links of a namespace, as they come and go.
pub(in crate::dataplane) struct Watch {
    /// Those that were there, until they are told.
    first: VecDeque<LinkChange>,
    messages: Messages,
}

impl Watch {
    /// Begins with the links that a namespace has.
    ///
    /// # Errors
    /// The system's refusal.
    pub(in crate::dataplane) async fn begin(namespace: &Namespace) -> Result<Self, Error> {
        let trouble = |error: &dyn std::fmt::Display| failed("watching links")(error);
        let opened = namespace.within(|| rtnetlink::new_multicast_connection(&[MulticastGroup::Link]))?;
        let (connection, handle, messages) = opened.map_err(|error| trouble(&error))?;
        tokio::spawn(connection);
        let mut first = VecDeque::new();
        let mut all = Box::pin(handle.link().get().execute());
        while let Some(message) = all.try_next().await.map_err(|error| trouble(&error))? {
            first.extend(change(message, true));
        }
        Ok(Self { first, messages: Box::pin(messages) })
    }

    /// The next change; `None` once the kernel tells no more.
    pub(in crate::dataplane) async fn next(&mut self) -> Option<LinkChange> {
        if let Some(first) = self.first.pop_front() {
            return Some(first);
        }
        loop {
            let (message, _) = self.messages.next().await?;
            let change = match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => change(link, true),
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => change(link, false),
                _ => None,
            };
            if change.is_some() {
                return change;
            }
        }
    }
}

/// A bridge tells of its ports in the same words; they are not about the link's being there.
fn change(message: LinkMessage, is_there: bool) -> Option<LinkChange> {
    if message.header.interface_family == AddressFamily::Bridge {
        return None;
    }
    let index = message.header.index;
    let name = message.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })?;
    Some(LinkChange { name, index, is_there })
}
