//! [`Links`] over rtnetlink. A pair is made in one message, its peer inside the pod's namespace from the start; a link is
//! never moved.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::thread;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags};
use netlink_packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope};
use rtnetlink::{Error, Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::{announce, namespace};
use crate::host::{Link, LinkError, Links, Namespaces, Netns, Route, VethPair};

/// errno values of asm-generic/errno.h, negative as netlink carries them.
const NO_SUCH_DEVICE: i32 = -19;
const EXISTS: i32 = -17;
/// What the kernel says to an IPv6 address where IPv6 is disabled: of the link, or altogether.
const NOT_ALLOWED: i32 = -13;
const NOT_SUPPORTED: i32 = -95;

/// The links of this machine's kernel.
#[derive(Debug, Default)]
pub struct KernelLinks;

fn errno(error: &Error) -> Option<i32> {
    match error {
        Error::NetlinkError(message) => Some(message.raw_code()),
        _ => None,
    }
}

pub(super) fn kernel(operation: String, error: &Error) -> LinkError {
    let source = match errno(error) {
        Some(code) => io::Error::from_raw_os_error(-code),
        None => io::Error::other(error.to_string()),
    };
    LinkError::Kernel { operation, source }
}

pub(super) async fn message(handle: &Handle, name: &str) -> Result<Option<LinkMessage>, LinkError> {
    let found = handle.link().get().match_name(name.to_owned()).execute().try_next().await;
    match found {
        Ok(found) => Ok(found),
        Err(error) if errno(&error) == Some(NO_SUCH_DEVICE) => Ok(None),
        Err(error) => Err(kernel(format!("looking for link {name}"), &error)),
    }
}

fn hardware_address(message: &LinkMessage) -> &[u8] {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(address) => Some(address.as_slice()),
        _ => None,
    });
    address.unwrap_or_default()
}

fn mac(message: &LinkMessage) -> String {
    hardware_address(message).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn mtu(message: &LinkMessage) -> u32 {
    let found = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    found.unwrap_or(0)
}

/// The bytes of a MAC address.
fn parse_mac(text: &str) -> Option<Vec<u8>> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes.filter(|bytes| bytes.len() == 6)
}

async fn addresses(handle: &Handle, index: u32) -> Result<Vec<IpNet>, LinkError> {
    let mut stream = Box::pin(handle.address().get().set_link_index_filter(index).execute());
    let mut found = Vec::new();
    while let Some(message) =
        stream.try_next().await.map_err(|error| kernel("reading addresses".to_owned(), &error))?
    {
        let ip = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        });
        let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let ip = ip.filter(|ip| !link_local(ip));
        found.extend(ip.and_then(|ip| IpNet::new(ip, message.header.prefix_len).ok()));
    }
    Ok(found)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

/// A route with the index of the device that it leaves by, unless the kernel made it itself.
fn route(message: &RouteMessage) -> Option<(u32, Route)> {
    if message.header.protocol == RouteProtocol::Kernel {
        return None;
    }
    let (mut device, mut destination, mut gateway) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::Destination(address) => destination = ip(address),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            _ => {}
        }
    }
    let everywhere = match message.header.address_family {
        netlink_packet_route::AddressFamily::Inet => IpAddr::from([0; 4]),
        netlink_packet_route::AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let destination =
        IpNet::new(destination.unwrap_or(everywhere), message.header.destination_prefix_length).ok()?;
    Some((device?, Route { destination, gateway }))
}

async fn routes_there(handle: &Handle) -> Result<Vec<(u32, Route)>, LinkError> {
    let mut found = Vec::new();
    for wanted in [
        RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    ] {
        let mut stream = Box::pin(handle.route().get(wanted).execute());
        while let Some(message) =
            stream.try_next().await.map_err(|error| kernel("reading routes".to_owned(), &error))?
        {
            found.extend(route(&message));
        }
    }
    Ok(found)
}

#[async_trait]
impl Links for KernelLinks {
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError> {
        namespace::open(path)
    }

    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError> {
        let handle = namespace::connect(netns)?;
        let Some(message) = message(&handle, name).await? else { return Ok(None) };
        let index = message.header.index;
        // The host has many routes and addresses that are nobody's business here.
        let (addresses, routes) = match netns {
            Some(_) => (addresses(&handle, index).await?, routes_there(&handle).await?),
            None => (Vec::new(), Vec::new()),
        };
        Ok(Some(Link {
            name: name.to_owned(),
            mac: mac(&message),
            mtu: mtu(&message),
            up: message.header.flags.contains(LinkFlags::Up),
            addresses,
            routes: routes
                .into_iter()
                .filter(|(device, _)| *device == index)
                .map(|(_, route)| route)
                .collect(),
        }))
    }

    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        let descriptor = netns.descriptor.as_ref().ok_or(LinkError::Unsupported)?;
        let mut peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(pair.pod_name.clone())
            .mtu(pair.mtu)
            .setns_by_fd(descriptor.as_raw_fd());
        if let Some(mac) = &pair.pod_mac {
            let wrong = || LinkError::Kernel {
                operation: format!("setting MAC address {mac}"),
                source: io::ErrorKind::InvalidInput.into(),
            };
            peer = peer.address(parse_mac(mac).ok_or_else(wrong)?);
        }
        let made = LinkMessageBuilder::<LinkVeth>::new(&pair.host_name, &pair.pod_name)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
            .mtu(pair.mtu)
            .up()
            .build();
        let handle = namespace::connect(None)?;
        match handle.link().add(made).execute().await {
            Ok(()) => {}
            Err(error) if errno(&error) == Some(EXISTS) => {
                let host = message(&handle, &pair.host_name).await?.is_some();
                return Err(LinkError::Exists(if host {
                    pair.host_name.clone()
                } else {
                    pair.pod_name.clone()
                }));
            }
            Err(error) => return Err(kernel(format!("creating link {}", pair.host_name), &error)),
        }
        let inside = namespace::connect(Some(netns))?;
        let pod = message(&inside, &pair.pod_name).await?;
        let pod = pod.ok_or_else(|| LinkError::NoSuchLink(pair.pod_name.clone()))?;
        // The kernel refuses a peer that is to be up before its other end exists.
        let up = LinkUnspec::new_with_index(pod.header.index).up().build();
        let set = inside.link().set(up).execute().await;
        set.map_err(|error| kernel(format!("setting link {} up", pair.pod_name), &error))?;
        Ok(mac(&pod))
    }

    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        let handle = namespace::connect(Some(netns))?;
        let link = message(&handle, name).await?.ok_or_else(|| LinkError::NoSuchLink(name.to_owned()))?;
        let index = link.header.index;
        announce::ask_for_notices(netns, name)?;
        let there = |result: Result<(), Error>, operation: String| match result {
            Err(error) if errno(&error) == Some(EXISTS) => Ok(()),
            other => other.map_err(|error| kernel(operation, &error)),
        };
        for address in addresses {
            let mut adding = handle.address().add(index, address.addr(), address.prefix_len());
            let ipv6 = address.addr().is_ipv6();
            if ipv6 {
                // The address is usable at once; the detection would hold it back for a second or two.
                adding.message_mut().header.flags |= AddressHeaderFlags::Nodad;
            }
            let added = adding.execute().await;
            let refused = added.as_ref().err().and_then(errno);
            if ipv6 && matches!(refused, Some(NOT_ALLOWED | NOT_SUPPORTED)) {
                return Err(LinkError::NoIpv6(name.to_owned()));
            }
            there(added, format!("adding address {address} to {name}"))?;
        }
        for route in routes {
            let operation = format!("adding a route to {} by {name}", route.destination);
            let added = handle.route().add(route_message(route, index).map_err(|error| {
                LinkError::Kernel { operation: operation.clone(), source: io::Error::other(error) }
            })?);
            match added.execute().await {
                Err(error) if errno(&error) == Some(EXISTS) => {
                    let all = routes_there(&handle).await?;
                    let same = |(device, found): &(u32, Route)| {
                        *device == index && found.destination == route.destination
                    };
                    if !all.iter().any(same) {
                        let (destination, name) = (route.destination, name.to_owned());
                        return Err(LinkError::RouteTaken { destination, name });
                    }
                }
                added => added.map_err(|error| kernel(operation, &error))?,
            }
        }
        // The address that it has: the kernel tells the neighbours whenever one is set.
        let same = LinkUnspec::new_with_index(index).address(hardware_address(&link).to_vec()).build();
        let _ = handle.link().set(same).execute().await;
        Ok(())
    }

    /// The kernel deletes a link within the system call that asks for it, for tens of milliseconds: on a thread of its
    /// own, so that the only other one goes on meanwhile.
    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        let (done, result) = tokio::sync::oneshot::channel();
        let owned = name.to_owned();
        let failed = |source| LinkError::Kernel { operation: format!("deleting link {name}"), source };
        let deleting = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            // Nobody listens any more once the call's time is used up; the kernel finishes all the same.
            let _ = done.send(runtime.map(|runtime| runtime.block_on(delete(&owned))));
        };
        thread::Builder::new().name("link".to_owned()).spawn(deleting).map_err(failed)?;
        result.await.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)?
    }

    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        let handle = namespace::connect(None)?;
        let routes = routes_there(&handle).await?;
        let default = |ipv4: bool| {
            let mut all = routes.iter();
            let wanted = |route: &Route| {
                route.destination.prefix_len() == 0 && route.destination.addr().is_ipv4() == ipv4
            };
            all.find(|(_, route)| wanted(route)).map(|(device, _)| *device)
        };
        let Some((device, ipv6_only)) =
            default(true).map(|device| (device, false)).or(default(false).map(|device| (device, true)))
        else {
            return Ok(None);
        };
        let found = handle.link().get().match_index(device).execute().try_next().await;
        let found = found.map_err(|error| kernel("reading the underlay's MTU".to_owned(), &error))?;
        Ok(found.map(|message| (mtu(&message), ipv6_only)))
    }

    async fn names(&self) -> Result<Vec<String>, LinkError> {
        let handle = namespace::connect(None)?;
        let mut stream = Box::pin(handle.link().get().execute());
        let mut found = Vec::new();
        while let Some(message) =
            stream.try_next().await.map_err(|error| kernel("listing the links".to_owned(), &error))?
        {
            found.extend(message.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            }));
        }
        Ok(found)
    }

    async fn namespaces(&self) -> Result<Namespaces, LinkError> {
        namespace::all()
    }
}

async fn delete(name: &str) -> Result<bool, LinkError> {
    let handle = namespace::connect(None)?;
    let Some(link) = message(&handle, name).await? else { return Ok(false) };
    match handle.link().del(link.header.index).execute().await {
        Ok(()) => Ok(true),
        Err(error) if errno(&error) == Some(NO_SUCH_DEVICE) => Ok(false),
        Err(error) => Err(kernel(format!("deleting link {name}"), &error)),
    }
}

fn route_message(route: &Route, index: u32) -> Result<RouteMessage, String> {
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.destination.addr(), route.destination.prefix_len())
        .map_err(|error| error.to_string())?
        .output_interface(index);
    builder = match route.gateway {
        Some(gateway) => builder.gateway(gateway).map_err(|error| error.to_string())?,
        None => builder.scope(RouteScope::Link),
    };
    Ok(builder.build())
}
