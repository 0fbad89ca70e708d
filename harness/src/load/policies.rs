//! `policies`: pods of two namespaces, and network policies between them that come and go while pods are replaced. What a
//! packet would meet is asked of the VSD's evaluator: traffic passes when a policy lets it, and only then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nuage_emulator::http::{PeerCertificate, in_process};
use nuage_emulator::node;
use nuage_emulator::vsd::client::Client;
use nuage_emulator::vsd::policy::{self, Domain, Traffic};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::Load;
use super::pods::Pods;
use super::spec::Spec;
use crate::error::Error;
use crate::random::{Amount, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "policies",
    about: "Pods of two namespaces, and network policies between them that come and go while pods are replaced. Traffic has to \
            pass when a policy lets it, and only then.",
    read: |reader| Ok(Arc::new(Policies::read(reader)?)),
};

/// How often traffic is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The port that the policy opens, and one that no policy does.
const OPEN: u16 = 80;
const CLOSED: u16 = 443;
const TCP: u8 = 6;
/// Not a port that anybody listens on.
const SOURCE: u16 = 50_000;
/// The name of the policy that opens the port.
const POLICY: &str = "open";
/// A policy of this name begins and ends with each change, and is about nobody who is asked about.
const OTHER: &str = "other";

/// Policies that come and go.
#[derive(Clone, Debug)]
struct Policies {
    clients: String,
    servers: String,
    pods: Amount,
    changes: Amount,
    every: Span,
    settle: Duration,
}

/// Those who talk in one run.
struct Talk<'a> {
    pods: &'a Pods,
    vsd: Client,
    clients: String,
    servers: String,
    /// The pods that stay until the next replacement.
    client_pods: Vec<Talker>,
    server_pods: Vec<Talker>,
    made: usize,
}

/// One of them.
struct Talker {
    name: String,
    /// Whether it came about: nobody talks to who did not.
    there: bool,
}

/// The names of those who talk.
fn there(pods: &[Talker]) -> Vec<&str> {
    pods.iter().filter(|pod| pod.there).map(|pod| pod.name.as_str()).collect()
}

impl Policies {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let settle = "how long a change may take until it decides about traffic";
        Ok(Self {
            clients: reader.name("clients", "the namespace of the pods that send", "front")?,
            servers: reader.name("servers", "the namespace of the pods that are sent to", "back")?,
            pods: reader.amount("pods", "how many pods each of them has", Some(3), 1..=100)?,
            changes: reader.amount("changes", "how often the policy comes or goes", Some(4), 1..=1_000)?,
            every: reader.span("every", "how long it stays as it is then", seconds(20))?,
            settle: reader.duration("settle", settle, seconds(30))?,
        })
    }
}

#[async_trait(?Send)]
impl Load for Policies {
    async fn run(&self, pods: &Pods) {
        let random = &pods.random;
        let mut talk = Talk::begin(pods, &self.clients, &self.servers);
        for _ in 0..self.pods.draw(random) {
            talk.another(true);
            talk.another(false);
        }
        talk.all_up().await;
        let mut open = false;
        let mut followed = talk.follows(open, self.settle, Duration::ZERO).await;
        for change in 1..=self.changes.draw(random) {
            if followed.is_err() {
                break;
            }
            open = !open;
            talk.change(open, change);
            let half = self.every.draw(random) / 2;
            followed = talk.follows(open, self.settle, half).await;
            talk.replace().await;
            if followed.is_ok() {
                // Whoever comes now is what the policy says from the beginning.
                followed = talk.follows(open, Duration::ZERO, half).await;
            }
        }
        if let Err(details) = followed {
            pods.world.violate(0, "traffic_follows_policies", details);
        }
        talk.end().await;
    }
}

impl<'a> Talk<'a> {
    fn begin(pods: &'a Pods, clients: &str, servers: &str) -> Self {
        let peer = PeerCertificate { common_name: "csproot".to_owned() };
        // Who looks is struck by no fault.
        let vsd = Client::new(in_process(pods.world.vsd.router(), Some(peer)), "https://vsd/nuage/api/v6");
        for namespace in [clients, servers] {
            let metadata = json!({"name": namespace, "labels": {"team": namespace}});
            let _ = pods.world.kube.create(json!({"kind": "Namespace", "metadata": metadata}));
        }
        let (clients, servers) = (clients.to_owned(), servers.to_owned());
        Self { pods, vsd, clients, servers, client_pods: Vec::new(), server_pods: Vec::new(), made: 0 }
    }

    /// One more pod on a side.
    fn another(&mut self, client: bool) {
        let (namespace, role) = if client { (&self.clients, "client") } else { (&self.servers, "server") };
        let name = format!("{role}-{}", self.made);
        self.made += 1;
        let labels = [("role".to_owned(), role.to_owned())].into();
        let spec = Spec { labels, ..Spec::new(namespace, &name) };
        let there = self.pods.comes_about();
        if there {
            let node = self.pods.place();
            if let Some(pod) = self.pods.submit(&spec, node) {
                self.pods.live_on(&spec, pod, None);
            }
        } else {
            self.pods.stand_in(&spec);
        }
        let pods = if client { &mut self.client_pods } else { &mut self.server_pods };
        pods.push(Talker { name, there });
    }

    /// Replaces the oldest pod of each side by another.
    async fn replace(&mut self) {
        for client in [true, false] {
            self.another(client);
            let (namespace, pods) = if client {
                (&self.clients, &mut self.client_pods)
            } else {
                (&self.servers, &mut self.server_pods)
            };
            self.pods.stop(&format!("{namespace}/{}", pods.remove(0).name));
        }
        self.all_up().await;
    }

    async fn all_up(&self) {
        for (namespace, pods) in [(&self.clients, &self.client_pods), (&self.servers, &self.server_pods)] {
            for pod in pods {
                self.pods.until_up(&format!("{namespace}/{}", pod.name)).await;
            }
        }
    }

    /// The policy comes or goes, and so does one that is about others.
    fn change(&self, open: bool, change: usize) {
        let (kube, world) = (&self.pods.world.kube, &self.pods.world);
        let policy = |name: &str, priority: usize, role: &str| {
            json!({
                "kind": "NetworkPolicy",
                "metadata": {"name": name, "namespace": self.servers, "labels": {"nuage.io/priority": priority.to_string()}},
                "spec": {
                    "podSelector": {"matchLabels": {"role": role}},
                    "ingress": [{
                        "from": [{
                            "namespaceSelector": {"matchLabels": {"team": self.clients}},
                            "podSelector": {"matchLabels": {"role": "client"}},
                        }],
                        "ports": [{"port": OPEN}],
                    }],
                },
            })
        };
        world.event(None, "policy", json!({"open": open, "change": change}));
        let done = if open {
            kube.create(policy(POLICY, 300, "server")).map(drop)
        } else {
            kube.delete("NetworkPolicy", &self.servers, POLICY).map(drop)
        };
        let _ = kube.delete("NetworkPolicy", &self.servers, OTHER);
        let other = kube.create(policy(OTHER, 400 + change % 100, "nobody"));
        if done.is_err() || other.is_err() {
            world.event(None, "policy_refused", json!({"change": change}));
        }
    }

    /// Whether traffic follows the policy once it had the time to, and goes on so for a while.
    async fn follows(&self, open: bool, settle: Duration, hold: Duration) -> Result<(), String> {
        let deadline = Instant::now() + settle;
        while let Err(details) = self.look(open).await {
            if Instant::now() >= deadline {
                return Err(format!("after {} s: {details}", settle.as_secs()));
            }
            sleep(LOOK).await;
        }
        let end = Instant::now() + hold;
        while Instant::now() < end {
            sleep(LOOK).await;
            self.look(open).await?;
        }
        Ok(())
    }

    /// Looks at every pair, and once more where something is wrong: a look is many requests, and between two of them other
    /// policies may have changed.
    async fn look(&self, open: bool) -> Result<(), String> {
        match self.look_once(open).await {
            Ok(()) => Ok(()),
            Err(_) => self.look_once(open).await,
        }
    }

    async fn look_once(&self, open: bool) -> Result<(), String> {
        let read = policy::read(&self.vsd, Some(node::ENTERPRISE), Some(node::DOMAIN)).await;
        let domain = read.map_err(|error| format!("the VSD cannot be read: {error}"))?;
        let mut wrong = Vec::new();
        let mut expect = |from: &str, to: &str, port: u16, expected: bool| {
            if passes(&domain, from, to, port) != Some(expected) {
                let what = if expected { "does not pass" } else { "passes, or somebody is not there" };
                wrong.push(format!("traffic from {from} to port {port} of {to} {what}"));
            }
        };
        let (clients, servers) = (there(&self.client_pods), there(&self.server_pods));
        for client in &clients {
            for server in &servers {
                expect(client, server, OPEN, open);
                expect(client, server, CLOSED, false);
                expect(server, client, OPEN, false);
            }
        }
        for pods in [&clients, &servers] {
            for (from, to) in pods.iter().zip(pods.iter().skip(1)) {
                expect(from, to, CLOSED, true);
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.remove(0)) }
    }

    async fn end(&self) {
        for name in [POLICY, OTHER] {
            let _ = self.pods.world.kube.delete("NetworkPolicy", &self.servers, name);
        }
        for namespace in [&self.clients, &self.servers] {
            for role in ["client", "server"] {
                self.pods.clear(&format!("{namespace}/{role}-")).await;
            }
        }
    }
}

/// Whether a first packet arrives; nothing where one of the pods has no address.
fn passes(domain: &Domain, from: &str, to: &str, port: u16) -> Option<bool> {
    let (from, to) = (*domain.find(from).first()?, *domain.find(to).first()?);
    let traffic = Traffic { protocol: TCP, source_port: SOURCE, destination_port: port, dscp: 0 };
    Some(domain.may(from, to, traffic).allowed())
}
