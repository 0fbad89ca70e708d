//! Starting the parts in the order of their needs, and writing down where they are. Everything runs in tasks that end with
//! the [`Site`].

use std::fs::Permissions;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use axum::Router;
use ipnet::Ipv4Net;
use rand::TryRng as _;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::directory::{Directory, make, write_secret};
use super::{Component, Options, Ports};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::error::Error;
use crate::faults::http::{Api, layered};
use crate::faults::{Faults, SwitchFaults, admin};
use crate::http::{HttpService, PeerCertificate, in_process};
use crate::kube::Kube;
use crate::mesos::{Credential, Mesos};
use crate::monitor::{Monitor, MonitorOptions};
use crate::node::{self, Agent, NodeFiles};
use crate::ovsdb::Listener;
use crate::ovsdb::persist::FileMedium;
use crate::pki::{Identity, Pki};
use crate::serve::{ClientCertificate, Front, acceptor, serve};
use crate::vrs::{CONTROLLERS, Vrs, VrsOptions};
use crate::vsc::{Controller, Follower, Stream};
use crate::vsd::{self, Vsd};

/// What a client inside this process calls the VSD: the authority is never resolved.
const VSD_URL: &str = "https://vsd/nuage/api/v6";
/// As the monitor in this process calls the API server.
const KUBE_URL: &str = "https://kube";
/// The pool that the monitor takes subnets from; its first block is the ready-made subnet's.
const POOL: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 20, 0, 0), 16);
const SUBNET_PREFIX: u8 = 24;
const MAX_NODES: u16 = 1000;
/// The first switch's port with `--ports default`; each further one has the next.
const VRS_TCP_PORT: u16 = 6640;
/// The same for TLS, beyond the ports that [`MAX_NODES`] switches take for TCP.
const VRS_TLS_PORT: u16 = 16640;
/// The first node's Mesos agent with `--ports default`; each further one has the next.
const MESOS_PORT: u16 = 5051;
const SOCKET_MODE: u32 = 0o600;
/// Who may ask the Mesos agents.
const PRINCIPAL: &str = "nuage";

/// A running site.
#[derive(Debug)]
pub struct Site {
    tasks: JoinSet<()>,
    sockets: Vec<PathBuf>,
    endpoints: Map<String, Value>,
    directory: Directory,
    parts: Parts,
}

/// The running parts, for who started the site in his own process and looks at it from inside.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The switches by their nodes' names.
    pub switches: Vec<(String, Vrs)>,
    /// The VSD, if it runs.
    pub vsd: Option<Vsd>,
    /// The API server, if it runs.
    pub kube: Option<Kube>,
    /// The Mesos agents by their nodes' names, if they run.
    pub agents: Vec<(String, Mesos)>,
    /// The monitor, if it runs.
    pub monitor: Option<Monitor>,
    /// The faults of all of them.
    pub faults: Faults,
}

/// A switch of a node.
struct Switch {
    name: String,
    socket: PathBuf,
    vrs: Vrs,
}

/// What the parts share.
struct Ground {
    pki: Pki,
    server: Identity,
    /// Of an authority that nobody trusts, for the faults of that name.
    untrusted: Identity,
    clock: Clock,
    entropy: Entropy,
    faults: Faults,
}

impl Ground {
    /// Something that nobody guesses.
    fn secret(&self) -> String {
        format!("{:016x}{:016x}", self.entropy.next(), self.entropy.next())
    }

    /// The TLS side of a listener of `api`.
    fn front(&self, api: Api, clients: ClientCertificate) -> Result<Front, Error> {
        let front = Front::from(acceptor(&self.pki, &self.server, clients)?);
        let untrusted = acceptor(&self.pki, &self.untrusted, clients)?;
        Ok(front.with_faults(api, self.faults.clone(), untrusted))
    }
}

impl Site {
    /// Starts the site; it is ready when this returns.
    ///
    /// # Errors
    /// What keeps it from running; nothing runs then.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        if !(1..=MAX_NODES).contains(&options.nodes) {
            return Err(Error::Usage(format!("--nodes must be from 1 to {MAX_NODES}")));
        }
        let has_default_password =
            options.components.contains(&Component::Vsd) && options.reach.password.is_none();
        if !options.bind.is_loopback() && has_default_password {
            return Err(Error::DefaultPassword(options.bind));
        }
        let directory = Directory::take(&options.directory)?;
        let pki = directory.path.join("pki");
        if let Some(authority) = &options.reach.authority {
            Pki::adopt(authority, &pki)?;
        }
        let pki = Pki::open(&pki)?;
        let (names, addresses) = (&options.reach.names, [IpAddr::from([127, 0, 0, 1]), options.bind]);
        let server = pki.server(names, &addresses)?;
        let untrusted = Pki::unknown()?.server(names, &addresses)?;
        let entropy = Entropy::seeded(seed()?);
        let faults = Faults::new(Entropy::seeded(entropy.next()));
        let (switches, agents) = (Vec::new(), Vec::new());
        let parts = Parts { switches, vsd: None, kube: None, agents, monitor: None, faults: faults.clone() };
        let ground = Ground { pki, server, untrusted, clock: Clock::System, entropy, faults };
        let (tasks, sockets, endpoints) = (JoinSet::new(), Vec::new(), Map::new());
        let mut site = Self { tasks, sockets, endpoints, directory, parts };

        let switches = site.start_switches(options, &ground).await?;
        let vsd = site.start_vsd(options, &ground).await?;
        if options.components.contains(&Component::Vsc) {
            let http = vsd.as_ref().map(|vsd| internal(vsd, &ground)).ok_or_else(|| needs("vsc", "vsd"))?;
            let follower = Follower::new(http.clone(), VSD_URL);
            for switch in &switches {
                let controller = Controller::new(http.clone(), VSD_URL).following(&follower);
                if !options.standby {
                    site.start_controller(switch, controller, &ground);
                    continue;
                }
                for target in CONTROLLERS {
                    site.start_controller(switch, controller.clone().taking_turns(target), &ground);
                }
            }
            site.run(async move { match follower.run().await {} });
        }
        let kube = site.start_kube(options, &ground).await?;
        let monitor = site.start_monitor(options, &ground, vsd.as_ref(), kube.as_ref()).await?;
        let (agents, told) = site.start_agents(options, &ground).await?.into_iter().unzip();
        site.write_nodes(options, &ground, kube.as_ref(), told)?;
        let switches: Vec<_> = switches.into_iter().map(|switch| (switch.name, switch.vrs)).collect();
        site.parts =
            Parts { switches: switches.clone(), vsd, kube, agents, monitor, faults: ground.faults.clone() };
        site.start_admin(&ground, switches)?;
        site.write_endpoints()?;
        Ok(site)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory.path
    }

    /// Its running parts.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Where the files of a node lie.
    pub fn node_files(&self, options: &Options, node: &str) -> PathBuf {
        self.node_directory(options, node)
    }

    /// What runs where, as in endpoints.json.
    pub fn endpoints(&self) -> &Map<String, Value> {
        &self.endpoints
    }

    /// Ends everything and removes the sockets.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        for socket in &self.sockets {
            let _ = std::fs::remove_file(socket);
        }
    }

    /// A task that lasts as long as the site.
    fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// A listener, and where clients reach it: by the site's name if it has one, and whatever address it listens on.
    async fn listen(&self, options: &Options, port: u16) -> Result<(TcpListener, String), Error> {
        let port = if options.ports == Ports::Auto { 0 } else { port };
        let address = SocketAddr::new(options.bind, port);
        let failed = |source| Error::Listen { address: address.to_string(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let reached = match options.reach.names.first() {
            Some(name) => format!("{name}:{}", bound.port()),
            None => bound.to_string(),
        };
        Ok((listener, reached))
    }

    async fn start_switches(&mut self, options: &Options, ground: &Ground) -> Result<Vec<Switch>, Error> {
        let mut switches = Vec::new();
        let mut nodes = Vec::new();
        for number in 1..=options.nodes {
            let name = format!("node-{number}");
            let place = self.node_directory(options, &name);
            make(&place)?;
            let mut node = json!({ "name": name });
            if options.components.contains(&Component::Vrs) {
                let (empty, standby) = (options.empty, options.standby);
                let vrs_options = VrsOptions { empty, system_id: name.clone(), standby };
                let vrs = self.open_switch(options, ground, &vrs_options)?;
                vrs.server().set_faults(SwitchFaults::new(ground.faults.clone(), &name));
                let socket = place.join("db.sock");
                let _ = std::fs::remove_file(&socket);
                let listener = UnixListener::bind(&socket).map_err(Error::file(&socket))?;
                self.run(vrs.server().clone().listen(Listener::Unix(listener)));
                node["vrs"] = json!(format!("unix:{}", socket.display()));
                if options.vrs_tcp {
                    let (listener, address) = self.listen(options, VRS_TCP_PORT + number - 1).await?;
                    self.run(vrs.server().clone().listen(Listener::Tcp(listener)));
                    node["vrs_tcp"] = json!(format!("tcp:{address}"));
                }
                if options.vrs_tls {
                    let (listener, address) = self.listen(options, VRS_TLS_PORT + number - 1).await?;
                    let tls = acceptor(&ground.pki, &ground.server, ClientCertificate::Required)?;
                    self.run(vrs.server().clone().listen(Listener::Tls(listener, tls)));
                    node["vrs_tls"] = json!(format!("ssl:{address}"));
                    let client = ground.pki.client(&name, node::ENTERPRISE)?;
                    write_secret(&place.join("vrs-client.pem"), client.certificate.as_bytes())?;
                    write_secret(&place.join("vrs-client.key"), client.key.as_bytes())?;
                }
                self.sockets.push(socket.clone());
                switches.push(Switch { name, socket, vrs });
            }
            nodes.push(node);
        }
        if let Some(first) = nodes.first().and_then(|node| node.get("vrs")) {
            self.endpoints.insert("vrs".into(), first.clone());
        }
        self.endpoints.insert("nodes".into(), Value::Array(nodes));
        Ok(switches)
    }

    fn open_switch(&self, options: &Options, ground: &Ground, switch: &VrsOptions) -> Result<Vrs, Error> {
        if !options.persist {
            return Ok(Vrs::new(ground.entropy.clone(), switch)?);
        }
        let place = self.directory.path.join("state").join(&switch.system_id);
        make(&place)?;
        let path = place.join("conf.db");
        let medium = FileMedium::open(&path).map_err(Error::file(&path))?;
        Vrs::kept(ground.entropy.clone(), switch, Box::new(medium), ground.clock.clone())
            .map_err(|error| Error::State { path, reason: error.to_string() })
    }

    async fn start_vsd(&mut self, options: &Options, ground: &Ground) -> Result<Option<Vsd>, Error> {
        if !options.components.contains(&Component::Vsd) {
            return Ok(None);
        }
        let vsd = self.open_vsd(options, ground)?;
        let site = vsd::Site {
            enterprise: node::ENTERPRISE.to_owned(),
            domain: node::DOMAIN.to_owned(),
            zone: node::ZONE.to_owned(),
            subnet: node::SUBNET.to_owned(),
            address: first_block(),
        };
        vsd.bootstrap(&site).map_err(|refusal| Error::Vsd(refusal.to_string()))?;
        if let Some(password) = &options.reach.password {
            vsd.set_password(password).map_err(|refusal| Error::Vsd(refusal.to_string()))?;
        }
        for (name, port, clients) in
            [("vsd", 8443, ClientCertificate::No), ("vsd_cert", 7443, ClientCertificate::Required)]
        {
            let (listener, address) = self.listen(options, port).await?;
            self.run(serve(listener, ground.front(Api::Vsd, clients)?, vsd.router()));
            self.endpoints.insert(name.into(), json!(format!("https://{address}/nuage/api")));
        }
        Ok(Some(vsd))
    }

    fn open_vsd(&self, options: &Options, ground: &Ground) -> Result<Vsd, Error> {
        let (clock, entropy) = (ground.clock.clone(), ground.entropy.clone());
        if !options.persist {
            return Ok(Vsd::new(clock, entropy));
        }
        let place = self.directory.path.join("state");
        make(&place)?;
        let path = place.join("vsd.redb");
        Vsd::open(clock, entropy, &path).map_err(|error| Error::State { path, reason: error.to_string() })
    }

    fn start_controller(&mut self, switch: &Switch, controller: Controller, ground: &Ground) {
        let (socket, faults, name) = (switch.socket.clone(), ground.faults.clone(), switch.name.clone());
        self.run(async move {
            let connect = || -> crate::vsc::Connecting {
                let socket = socket.clone();
                Box::pin(async move { Ok(Box::new(UnixStream::connect(socket).await?) as Box<dyn Stream>) })
            };
            let _: std::convert::Infallible = controller.with_faults(faults, &name).run(connect).await;
        });
    }

    async fn start_monitor(
        &mut self,
        options: &Options,
        ground: &Ground,
        vsd: Option<&Vsd>,
        kube: Option<&Kube>,
    ) -> Result<Option<Monitor>, Error> {
        if !options.components.contains(&Component::Monitor) {
            return Ok(None);
        }
        let monitor = Monitor::new(MonitorOptions {
            vsd: vsd.map(|vsd| internal(vsd, ground)).ok_or_else(|| needs("monitor", "vsd"))?,
            vsd_url: VSD_URL.to_owned(),
            enterprise: node::ENTERPRISE.to_owned(),
            domain: node::DOMAIN.to_owned(),
            address_pool: POOL,
            subnet_prefix: SUBNET_PREFIX,
            autoscale: true,
            kube: kube.map(|kube| (within(kube.router(), Api::Kube, ground), KUBE_URL.to_owned())),
            faults: Some(ground.faults.clone()),
        });
        let (listener, address) = self.listen(options, 9443).await?;
        let front = ground.front(Api::Monitor, ClientCertificate::Required)?;
        self.run(serve(listener, front, monitor.router()));
        let following = monitor.clone();
        self.run(async move { following.run().await });
        self.endpoints.insert("monitor".into(), json!(format!("https://{address}")));
        Ok(Some(monitor))
    }

    async fn start_kube(&mut self, options: &Options, ground: &Ground) -> Result<Option<Kube>, Error> {
        if !options.components.contains(&Component::Kube) {
            return Ok(None);
        }
        let kube = Kube::new(ground.clock.clone(), ground.entropy.clone());
        let (listener, address) = self.listen(options, 6443).await?;
        let front = ground.front(Api::Kube, ClientCertificate::Optional)?;
        self.run(serve(listener, front, kube.router()));
        self.endpoints.insert("kube".into(), json!(format!("https://{address}")));
        Ok(Some(kube))
    }

    /// A Mesos agent a node: how it is reached, and what runs there.
    async fn start_agents(
        &mut self,
        options: &Options,
        ground: &Ground,
    ) -> Result<Vec<((String, Mesos), Agent)>, Error> {
        let mut agents = Vec::new();
        if !options.components.contains(&Component::Mesos) {
            return Ok(agents);
        }
        for number in 1..=options.nodes {
            let name = format!("node-{number}");
            let credential = Credential { principal: PRINCIPAL.to_owned(), secret: ground.secret() };
            let agent = Mesos::new(credential.clone(), ground.faults.clone(), &name);
            let (listener, address) = self.listen(options, MESOS_PORT + number - 1).await?;
            let front = ground.front(Api::Mesos, ClientCertificate::No)?;
            self.run(serve(listener, front, agent.router()));
            let url = format!("https://{address}");
            if let Some(node) = self.endpoints["nodes"].get_mut(usize::from(number) - 1) {
                node["mesos"] = json!(url);
            }
            agents.push(((name, agent), Agent { url, credential }));
        }
        self.endpoints.extend(agents.first().map(|(_, first)| ("mesos".to_owned(), json!(first.url))));
        Ok(agents)
    }

    /// The socket by which faults are turned on and off. It needs no certificate: who owns the directory may use it.
    fn start_admin(&mut self, ground: &Ground, switches: Vec<(String, Vrs)>) -> Result<(), Error> {
        let socket = self.directory.path.join("admin.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).map_err(Error::file(&socket))?;
        // The directory lets nobody else in; this is for who copies or opens it.
        std::fs::set_permissions(&socket, Permissions::from_mode(SOCKET_MODE))
            .map_err(Error::file(&socket))?;
        self.run(admin(listener, ground.faults.clone(), switches));
        self.endpoints.insert("admin".into(), json!(socket.display().to_string()));
        self.sockets.push(socket);
        Ok(())
    }

    fn node_directory(&self, options: &Options, name: &str) -> PathBuf {
        let root = &self.directory.path;
        if options.nodes == 1 { root.join("node") } else { root.join("nodes").join(name) }
    }

    fn endpoint(&self, name: &str) -> Option<String> {
        self.endpoints.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// The files of each node, and the kubeconfig of whoever plays the administrator.
    fn write_nodes(
        &self,
        options: &Options,
        ground: &Ground,
        kube: Option<&Kube>,
        agents: Vec<Agent>,
    ) -> Result<(), Error> {
        let Some(kube) = kube else { return Ok(()) };
        let server = self.endpoint("kube").unwrap_or_default();
        let mut agents = agents.into_iter();
        let administrator = ground.secret();
        kube.add_token(&administrator);
        let text = node::kubeconfig(&server, &ground.pki.authority, &format!("token: {administrator}"));
        write_secret(&self.directory.path.join("admin.kubeconfig"), text.as_bytes())?;
        for number in 1..=options.nodes {
            let name = format!("node-{number}");
            let directory = self.node_directory(options, &name);
            let plugin = ground.secret();
            kube.add_token(&plugin);
            ground.faults.introduce(&plugin, &name);
            kube.create(json!({"kind": "Node", "metadata": {"name": name}}))
                .map_err(|status| Error::Client(status.to_string()))?;
            let files = node::files(&NodeFiles {
                vrs: format!("unix:{}", directory.join("db.sock").display()),
                directory: directory.clone(),
                monitor: self.endpoint("monitor"),
                kube: server.clone(),
                token: plugin,
                authority: ground.pki.authority.clone(),
                client: ground.pki.client(&name, node::ENTERPRISE)?,
                agent: agents.next(),
            });
            for (file, text) in files {
                write_secret(&directory.join(file), text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// What `emulator vsc --dir` needs, and endpoints.json: the last file to be written.
    fn write_endpoints(&self) -> Result<(), Error> {
        let path = self.directory.path.join("endpoints.json");
        let text = format!("{:#}\n", Value::Object(self.endpoints.clone()));
        write_secret(&path, text.as_bytes())
    }
}

/// A VSD client inside this process, as the user that controllers and monitors have.
fn internal(vsd: &Vsd, ground: &Ground) -> HttpService {
    within(vsd.router(), Api::Vsd, ground)
}

/// A client of a service inside this process, with the name that controllers and monitors have.
fn within(router: Router, api: Api, ground: &Ground) -> HttpService {
    let router = layered(router, api, &ground.faults);
    in_process(router, Some(PeerCertificate { common_name: "csproot".to_owned() }))
}

fn needs(what: &str, of: &str) -> Error {
    Error::Usage(format!("--only: {what} needs {of}"))
}

fn first_block() -> Ipv4Net {
    POOL.subnets(SUBNET_PREFIX).ok().and_then(|mut blocks| blocks.next()).unwrap_or(POOL)
}

/// A seed from the system: two emulators must not make the same identifiers.
fn seed() -> Result<u64, Error> {
    rand::rngs::SysRng.try_next_u64().map_err(|error| Error::Client(format!("no randomness: {error}")))
}
