//! Bridges, routers, tunnels and their entries, over netlink. What is to be taken away and is gone already is no failure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd as _;

use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use netlink_packet_route::address::AddressHeaderFlags;
use netlink_packet_route::link::{InfoData, InfoVeth};
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourState};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVxlan};

use super::{Namespace, failed};
use crate::dataplane::mac::Mac;
use crate::dataplane::names;
use crate::dataplane::plan::{Item, Step};
use crate::error::Error;

/// errno values of asm-generic/errno.h, negative as netlink carries them.
const NO_SUCH_ENTRY: i32 = -2;
const NO_SUCH_DEVICE: i32 = -19;
const EXISTS: i32 = -17;
/// What a node's configuration gives containers, in bytes: the underlay's 1,500 without a tunnel's headers.
const MTU: u32 = 1450;
/// The port of VXLAN (RFC 7348).
const VXLAN_PORT: u16 = 4789;
/// A VXLAN's number has 24 bits.
const VXLAN_NUMBERS: u32 = 0x00ff_ffff;
/// What joins a node to the others.
const UNDERLAY: &str = "underlay";
const UNDERLAY_PREFIX: u8 = 16;

fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => Some(message.raw_code()),
        _ => None,
    }
}

fn refused(what: &str, error: &rtnetlink::Error) -> Error {
    match errno(error) {
        Some(code) => failed(what)(&std::io::Error::from_raw_os_error(-code)),
        None => failed(what)(error),
    }
}

/// What is gone cannot be taken away, and needs not be.
fn gone(what: &str, result: Result<(), rtnetlink::Error>) -> Result<(), Error> {
    match result {
        Err(error) if matches!(errno(&error), Some(NO_SUCH_DEVICE | NO_SUCH_ENTRY)) => Ok(()),
        other => other.map_err(|error| refused(what, &error)),
    }
}

async fn index(handle: &Handle, name: &str) -> Result<Option<u32>, Error> {
    match handle.link().get().match_name(name.to_owned()).execute().try_next().await {
        Ok(found) => Ok(found.map(|message| message.header.index)),
        Err(error) if errno(&error) == Some(NO_SUCH_DEVICE) => Ok(None),
        Err(error) => Err(refused(&format!("looking for link {name}"), &error)),
    }
}

async fn known(handle: &Handle, name: &str) -> Result<u32, Error> {
    index(handle, name).await?.ok_or_else(|| failed(format!("looking for link {name}"))(&"it is not there"))
}

/// Sets a link up.
pub(super) async fn up(handle: &Handle, name: &str) -> Result<(), Error> {
    let link = LinkUnspec::new_with_index(known(handle, name).await?).up().build();
    handle.link().set(link).execute().await.map_err(|error| refused(&format!("setting {name} up"), &error))
}

async fn remove(handle: &Handle, name: &str) -> Result<(), Error> {
    let Some(index) = index(handle, name).await? else { return Ok(()) };
    gone(&format!("deleting link {name}"), handle.link().del(index).execute().await)
}

/// What joins the nodes: a bridge in a namespace of its own.
#[derive(Debug)]
pub(in crate::dataplane) struct Wire {
    namespace: Namespace,
    handle: Handle,
    bridge: u32,
}

impl Wire {
    /// Makes it in a namespace.
    ///
    /// # Errors
    /// The system's refusal.
    pub(in crate::dataplane) async fn make(namespace: Namespace) -> Result<Self, Error> {
        let handle = namespace.connect()?;
        let bridge = LinkBridge::new("wire").up().build();
        handle.link().add(bridge).execute().await.map_err(|error| refused("making the wire", &error))?;
        let bridge = known(&handle, "wire").await?;
        Ok(Self { namespace, handle, bridge })
    }
}

/// The kernel of a node.
#[derive(Debug)]
pub(in crate::dataplane) struct Kernel {
    node: Namespace,
    handle: Handle,
    /// The routers by their domains.
    routers: BTreeMap<u32, (Namespace, Handle)>,
    /// The domains whose routers have a gateway, by the subnets.
    gateways: BTreeMap<u32, u32>,
    /// The link to the other nodes, and the node's address there.
    underlay: Option<(u32, Ipv4Addr)>,
}

impl Kernel {
    /// That of a node, which has nothing yet.
    ///
    /// # Errors
    /// The system's refusal.
    pub(in crate::dataplane) fn of(node: Namespace) -> Result<Self, Error> {
        let handle = node.connect()?;
        node.configure(&[
            ("bridge/bridge-nf-call-iptables", "1"),
            ("bridge/bridge-nf-call-ip6tables", "1"),
            ("bridge/bridge-nf-call-arptables", "0"),
            // Bridges are no hosts.
            ("ipv6/conf/default/disable_ipv6", "1"),
        ])?;
        Ok(Self { node, handle, routers: BTreeMap::new(), gateways: BTreeMap::new(), underlay: None })
    }

    /// Its namespace.
    pub(in crate::dataplane) fn namespace(&self) -> &Namespace {
        &self.node
    }

    /// Joins it to the other nodes, with this address; `number` tells it from them.
    ///
    /// # Errors
    /// The system's refusal.
    pub(in crate::dataplane) async fn join(
        &mut self,
        wire: &Wire,
        number: u16,
        address: Ipv4Addr,
    ) -> Result<(), Error> {
        let trouble = |error: &rtnetlink::Error| refused("joining a node to the others", error);
        let far = format!("node{number}");
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(far.clone())
            .setns_by_fd(wire.namespace.file().as_raw_fd());
        let link = LinkMessageBuilder::<LinkVeth>::new(UNDERLAY, &far)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
            .up();
        self.handle.link().add(link.build()).execute().await.map_err(|error| trouble(&error))?;
        let peer = LinkUnspec::new_with_index(known(&wire.handle, &far).await?).controller(wire.bridge).up();
        wire.handle.link().set(peer.build()).execute().await.map_err(|error| trouble(&error))?;
        let link = known(&self.handle, UNDERLAY).await?;
        let added = self.handle.address().add(link, IpAddr::V4(address), UNDERLAY_PREFIX).execute().await;
        added.map_err(|error| trouble(&error))?;
        self.underlay = Some((link, address));
        Ok(())
    }

    /// Carries out a step.
    ///
    /// # Errors
    /// The system's refusal.
    pub(in crate::dataplane) async fn carry_out(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::Add(item) => self.add(item).await,
            Step::Remove(item) => self.take(item).await,
        }
    }

    async fn add(&mut self, item: &Item) -> Result<(), Error> {
        match item {
            Item::Router(domain) => self.add_router(*domain).await,
            Item::Bridge(subnet) => self.add_bridge(*subnet).await,
            Item::Gateway { subnet, domain, mac, addresses } => {
                self.add_gateway(*subnet, *domain, *mac, addresses).await
            }
            Item::Tunnel(subnet) => self.add_tunnel(*subnet).await,
            Item::Port { name, index, subnet } => {
                let bridge = known(&self.handle, &names::bridge(*subnet)).await?;
                let port = LinkUnspec::new_with_index(*index).controller(bridge).up().build();
                // A link that has gone meanwhile will be told of.
                gone(&format!("putting {name} into its bridge"), self.handle.link().set(port).execute().await)
            }
            Item::Remote { subnet, mac, addresses, host } => {
                self.add_remote(*subnet, *mac, addresses, *host).await
            }
        }
    }

    async fn take(&mut self, item: &Item) -> Result<(), Error> {
        match item {
            Item::Router(domain) => match self.routers.remove(domain) {
                Some((namespace, _)) => Namespace::remove(namespace.name()),
                None => Ok(()),
            },
            Item::Bridge(subnet) => remove(&self.handle, &names::bridge(*subnet)).await,
            Item::Gateway { subnet, .. } => {
                self.gateways.remove(subnet);
                remove(&self.handle, &names::router_port(*subnet)).await
            }
            Item::Tunnel(subnet) => remove(&self.handle, &names::tunnel(*subnet)).await,
            Item::Port { name, index, .. } => {
                let free = LinkUnspec::new_with_index(*index).nocontroller().build();
                let what = format!("taking {name} out of its bridge");
                gone(&what, self.handle.link().set(free).execute().await)
            }
            Item::Remote { subnet, mac, addresses, .. } => self.take_remote(*subnet, *mac, addresses).await,
        }
    }

    async fn add_router(&mut self, domain: u32) -> Result<(), Error> {
        let namespace = Namespace::make(&names::router(self.node.name(), domain)).await?;
        namespace.configure(&[
            ("ipv4/ip_forward", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/default/send_redirects", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
        ])?;
        let handle = namespace.connect()?;
        self.routers.insert(domain, (namespace, handle));
        Ok(())
    }

    async fn add_bridge(&self, subnet: u32) -> Result<(), Error> {
        let name = names::bridge(subnet);
        let bridge = LinkBridge::new(&name).mcast_snooping(false).up().build();
        let made = self.handle.link().add(bridge).execute().await;
        made.map_err(|error| refused(&format!("making bridge {name}"), &error))
    }

    async fn add_gateway(
        &mut self,
        subnet: u32,
        domain: u32,
        mac: Mac,
        addresses: &BTreeSet<IpNet>,
    ) -> Result<(), Error> {
        let (inner, outer) = (names::gateway(subnet), names::router_port(subnet));
        let trouble = |error: &rtnetlink::Error| refused(&format!("making gateway {inner}"), error);
        let router = self.routers.get(&domain);
        let (namespace, router) =
            router.ok_or_else(|| failed(format!("making gateway {inner}"))(&"no router"))?;
        let bridge = known(&self.handle, &names::bridge(subnet)).await?;
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(inner.clone())
            .mtu(MTU)
            .address(mac.0.to_vec())
            .setns_by_fd(namespace.file().as_raw_fd());
        let link = LinkMessageBuilder::<LinkVeth>::new(&outer, &inner)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
            .mtu(MTU)
            .controller(bridge)
            .up();
        self.handle.link().add(link.build()).execute().await.map_err(|error| trouble(&error))?;
        let index = known(router, &inner).await?;
        let up = LinkUnspec::new_with_index(index).up().build();
        router.link().set(up).execute().await.map_err(|error| trouble(&error))?;
        for address in addresses {
            let mut adding = router.address().add(index, address.addr(), address.prefix_len());
            if address.addr().is_ipv6() {
                // It is the gateway's on every node: nobody is to be asked whether he has it.
                adding.message_mut().header.flags |= AddressHeaderFlags::Nodad;
            }
            adding.execute().await.map_err(|error| trouble(&error))?;
        }
        self.gateways.insert(subnet, domain);
        Ok(())
    }

    async fn add_tunnel(&self, subnet: u32) -> Result<(), Error> {
        let name = names::tunnel(subnet);
        let trouble = |error: &rtnetlink::Error| refused(&format!("making tunnel {name}"), error);
        let (underlay, local) =
            self.underlay.ok_or_else(|| failed(format!("making tunnel {name}"))(&"no underlay"))?;
        let bridge = known(&self.handle, &names::bridge(subnet)).await?;
        let tunnel = LinkVxlan::new(&name, subnet & VXLAN_NUMBERS)
            .dev(underlay)
            .local(local)
            .port(VXLAN_PORT)
            .learning(false)
            .proxy(true)
            .mtu(MTU)
            .controller(bridge);
        self.handle.link().add(tunnel.build()).execute().await.map_err(|error| trouble(&error))?;
        // It has IPv6 neighbours to answer for, and no address of its own.
        let setting = |name_of: &str| format!("ipv6/conf/{name}/{name_of}");
        let (generated, disabled) = (setting("addr_gen_mode"), setting("disable_ipv6"));
        self.node.configure(&[(&generated, "1"), (&disabled, "0")])?;
        // The gateway has one MAC address on all nodes: what another node's sends must not be learnt.
        let index = known(&self.handle, &name).await?;
        let port = LinkBridgePort::new(index).learning(false).build();
        self.handle.link().set_port(port).execute().await.map_err(|error| trouble(&error))?;
        let up = LinkUnspec::new_with_index(index).up().build();
        self.handle.link().set(up).execute().await.map_err(|error| trouble(&error))
    }

    async fn add_remote(
        &self,
        subnet: u32,
        mac: Mac,
        addresses: &BTreeSet<IpAddr>,
        host: Ipv4Addr,
    ) -> Result<(), Error> {
        let name = names::tunnel(subnet);
        let tunnel = known(&self.handle, &name).await?;
        let there = |result: Result<(), rtnetlink::Error>| match result {
            Err(error) if errno(&error) == Some(EXISTS) => Ok(()),
            other => other.map_err(|error| refused(&format!("adding {mac} to {name}"), &error)),
        };
        for flags in [NeighbourFlags::Own, NeighbourFlags::Controller] {
            let mut entry = self.handle.neighbours().add_bridge(tunnel, &mac.0).flags(flags).replace();
            if flags == NeighbourFlags::Own {
                entry = entry.destination(IpAddr::V4(host)).state(NeighbourState::Permanent);
            } else {
                entry = entry.state(NeighbourState::Noarp);
            }
            there(entry.execute().await)?;
        }
        for address in addresses {
            let entry = self.handle.neighbours().add(tunnel, *address).link_layer_address(&mac.0).replace();
            there(entry.execute().await)?;
        }
        if let Some((router, gateway)) = self.gateway(subnet).await? {
            for address in addresses {
                let entry = router.neighbours().add(gateway, *address).link_layer_address(&mac.0).replace();
                there(entry.execute().await)?;
            }
        }
        Ok(())
    }

    /// The subnet's gateway in its router: it is told who is elsewhere, so that it never believes who was.
    async fn gateway(&self, subnet: u32) -> Result<Option<(&Handle, u32)>, Error> {
        let router = self.gateways.get(&subnet).and_then(|domain| self.routers.get(domain));
        let Some((_, router)) = router else { return Ok(None) };
        Ok(index(router, &names::gateway(subnet)).await?.map(|index| (router, index)))
    }

    async fn take_remote(&self, subnet: u32, mac: Mac, addresses: &BTreeSet<IpAddr>) -> Result<(), Error> {
        let name = names::tunnel(subnet);
        let Some(tunnel) = index(&self.handle, &name).await? else { return Ok(()) };
        let what = format!("taking {mac} out of {name}");
        for flags in [NeighbourFlags::Own, NeighbourFlags::Controller] {
            let mut entry = self.handle.neighbours().add_bridge(tunnel, &mac.0).flags(flags);
            let message = std::mem::take(entry.message_mut());
            gone(&what, self.handle.neighbours().del(message).execute().await)?;
        }
        for address in addresses {
            let mut entry = self.handle.neighbours().add(tunnel, *address);
            let message = std::mem::take(entry.message_mut());
            gone(&what, self.handle.neighbours().del(message).execute().await)?;
        }
        if let Some((router, gateway)) = self.gateway(subnet).await? {
            for address in addresses {
                let mut entry = router.neighbours().add(gateway, *address);
                let message = std::mem::take(entry.message_mut());
                gone(&what, router.neighbours().del(message).execute().await)?;
            }
        }
        Ok(())
    }
}
