//! May one end talk to the other, and what decides it: the ACL templates and entries of a domain, evaluated. Pure, but
//! for [`read()`], which gets them over the REST API. Never looks at packets, never changes anything.
//!
//! Traffic passes twice: where it enters the network, by the ingress templates, whose *location* is the source and whose
//! *network* is the destination; and where it leaves it, by the egress templates, whose *location* is the destination.
//! Templates come by their level (TOP, then those of the domain, then BOTTOM) and priority, entries by priority, the
//! lower first; the first entry that matches decides, and if none does, the default of the last template. Who has no
//! active template lets nothing through. An answer to traffic that was allowed is not evaluated.

mod explain;
mod expression;
mod read;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

pub use expression::Expression;
pub use read::read;
pub use rule::{Action, Place, Ports, Rule, Traffic};

/// An address that sends or receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// What it is called, best first: machine, interface, vPort, IDs. Empty for what is outside.
    pub names: Vec<String>,
    /// Where it is attached; `None` for what is outside the domain.
    pub attachment: Option<Attachment>,
}

/// Where in a domain an endpoint is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// ID of its subnet (or layer-2 domain).
    pub subnet: String,
    /// ID of its zone; a layer-2 domain has none.
    pub zone: Option<String>,
    /// IDs of the policy groups of its vPort.
    pub groups: BTreeSet<String>,
}

impl Endpoint {
    /// An address outside the domain.
    pub fn outside(address: IpAddr) -> Self {
        Self { address, names: Vec::new(), attachment: None }
    }

    /// How a person calls it.
    pub fn name(&self) -> String {
        self.names.first().cloned().unwrap_or_else(|| self.address.to_string())
    }
}

/// Before those of the domain, among them, or behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// TOP, and `TOP_FIREWALL`.
    Top,
    /// What has no other.
    Middle,
    /// BOTTOM, and `BOTTOM_FIREWALL`.
    Bottom,
}

/// An active, live ACL template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it comes by first.
    pub level: Level,
    /// What it comes by second: the lower first.
    pub priority: i64,
    /// What becomes of IP traffic that no entry matches (`defaultAllowIP`).
    pub otherwise: Action,
    /// Its entries.
    pub rules: Vec<Rule>,
}

/// What decides in a domain, and who is in it.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    /// Its name.
    pub name: String,
    ingress: Vec<Template>,
    egress: Vec<Template>,
    /// The ranges of network macros by ID.
    macros: BTreeMap<String, IpNet>,
    /// The members of groups of network macros.
    macro_groups: BTreeMap<String, BTreeSet<String>>,
    /// Expressions of policy groups by ID, about the IDs of groups.
    expressions: BTreeMap<String, Expression>,
    /// Who is attached.
    pub endpoints: Vec<Endpoint>,
}

/// Where traffic is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Where it enters the network, at its source.
    Ingress,
    /// Where it leaves the network, at its destination.
    Egress,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An entry of a template.
    Entry(Box<Rule>, Box<Template>),
    /// No entry, so the default of the last template.
    Default(Box<Template>),
    /// There is no active template.
    NoTemplate,
}

/// What became of traffic at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where.
    pub direction: Direction,
    /// What.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

/// What became of traffic: at its source, at its destination, or both, as far as they are in the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In the order of the traffic; all are there, also behind one that drops it.
    pub steps: Vec<Step>,
}

impl Verdict {
    /// Whether it arrives.
    pub fn allowed(&self) -> bool {
        self.steps.iter().all(|step| step.action == Action::Forward)
    }

    /// What decides: the first that drops it, else the last that lets it through.
    pub fn decisive(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.action == Action::Drop).or_else(|| self.steps.last())
    }
}

impl Domain {
    /// Puts templates and their entries into their order.
    fn sort(&mut self) {
        for templates in [&mut self.ingress, &mut self.egress] {
            templates.sort_by(|a, b| (a.level, a.priority, &a.id).cmp(&(b.level, b.priority, &b.id)));
            for template in templates {
                template.rules.sort_by(|a, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
            }
        }
    }

    /// May `from` talk to `to`, and what decides it.
    pub fn may(&self, from: &Endpoint, to: &Endpoint, traffic: Traffic) -> Verdict {
        let mut steps = Vec::new();
        if from.attachment.is_some() {
            steps.push(self.step(Direction::Ingress, &self.ingress, (from, to), traffic));
        }
        if to.attachment.is_some() {
            steps.push(self.step(Direction::Egress, &self.egress, (to, from), traffic));
        }
        Verdict { steps }
    }

    fn step(
        &self,
        direction: Direction,
        templates: &[Template],
        (here, there): (&Endpoint, &Endpoint),
        traffic: Traffic,
    ) -> Step {
        let matches = |rule: &&Rule| {
            rule.is_about(here.address, traffic)
                && self.holds(&rule.location, here, there)
                && self.holds(&rule.network, there, here)
        };
        for template in templates {
            if let Some(rule) = template.rules.iter().find(matches) {
                let reason = Reason::Entry(Box::new(rule.clone()), Box::new(template.clone()));
                return Step { direction, action: rule.action, reason };
            }
        }
        match templates.last() {
            Some(last) => {
                Step { direction, action: last.otherwise, reason: Reason::Default(Box::new(last.clone())) }
            }
            None => Step { direction, action: Action::Drop, reason: Reason::NoTemplate },
        }
    }

    /// Whether an end is at a place, which may be told by the other end.
    fn holds(&self, place: &Place, end: &Endpoint, other: &Endpoint) -> bool {
        let (here, there) = (end.attachment.as_ref(), other.attachment.as_ref());
        let both = |same: fn(&Attachment, &Attachment) -> bool| {
            here.zip(there).is_some_and(|(here, there)| same(here, there))
        };
        let in_macro = |id: &String| self.macros.get(id).is_some_and(|range| range.contains(&end.address));
        match place {
            Place::Any => true,
            Place::Domain => here.is_some(),
            Place::SameZone => both(|here, there| here.zone.is_some() && here.zone == there.zone),
            Place::SameSubnet => both(|here, there| here.subnet == there.subnet),
            Place::Subnet(id) => here.is_some_and(|here| here.subnet == *id),
            Place::Zone(id) => here.is_some_and(|here| here.zone.as_ref() == Some(id)),
            Place::Group(id) => here.is_some_and(|here| here.groups.contains(id)),
            Place::Expression(id) => here.zip(self.expressions.get(id)).is_some_and(|(here, expression)| {
                expression.holds(&|group: &str| here.groups.contains(group))
            }),
            Place::Macro(id) => in_macro(id),
            Place::MacroGroup(id) => self.macro_groups.get(id).into_iter().flatten().any(in_macro),
            Place::Nowhere(_) => false,
        }
    }

    /// The endpoints that a person may mean: by address, or by any of their names.
    pub fn find(&self, name: &str) -> Vec<&Endpoint> {
        let address = name.parse::<IpAddr>().ok();
        let is = |endpoint: &&Endpoint| match address {
            Some(address) => endpoint.address == address,
            None => endpoint.names.iter().any(|known| known == name),
        };
        self.endpoints.iter().filter(is).collect()
    }
}
