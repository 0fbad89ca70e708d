//! `greedy`: pods that ask for what they may not have. They must not get it, and must leave nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::pods::Pods;
use super::spec::Spec;
use super::{Load, NAME, NAMESPACE};
use crate::error::Error;
use crate::random::{Amount, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "greedy",
    about: "Pods whose annotations ask for what they may not have or nobody could carry; they are tried for a while and then \
            deleted.",
    read: |reader| Ok(Arc::new(Greedy::read(reader)?)),
};

/// Longer than a value may be, and an object longer than any that an API server stores: bytes.
const LONG: usize = 300;
const HUGE: usize = 5 << 20;

/// What they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// A zone without a subnet in it.
    ZoneAlone,
    /// A value that no row should hold.
    LongValue,
    /// A value with control characters.
    ControlCharacters,
    /// An object that nobody should read.
    HugeObject,
}

const WISHES: [(&str, Wish); 4] = [
    ("zone_alone", Wish::ZoneAlone),
    ("long_value", Wish::LongValue),
    ("control_characters", Wish::ControlCharacters),
    ("huge_object", Wish::HugeObject),
];

#[derive(Clone, Debug)]
struct Greedy {
    namespace: String,
    name: String,
    count: Amount,
    wish: Wish,
    at: Span,
    hold: Span,
}

impl Greedy {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            namespace: reader.name("namespace", NAMESPACE, "default")?,
            name: reader.name("name", NAME, "greedy")?,
            count: reader.amount("count", "how many pods", Some(1), 1..=10_000)?,
            wish: reader.word("asks_for", "what they ask for", None, &WISHES)?,
            at: reader.span("at", "when they are made", Some(Duration::ZERO))?,
            hold: reader.span("hold", "how long they are tried", Some(Duration::from_secs(20)))?,
        })
    }

    fn annotations(&self) -> Vec<(&'static str, String)> {
        match self.wish {
            Wish::ZoneAlone => vec![("nuage.io/zone", "elsewhere".to_owned())],
            Wish::LongValue => vec![("nuage.io/user", "u".repeat(LONG))],
            Wish::ControlCharacters => vec![("nuage.io/policy-group", "a\u{0}b\r\nc".to_owned())],
            Wish::HugeObject => vec![("note", "n".repeat(HUGE))],
        }
    }
}

#[async_trait(?Send)]
impl Load for Greedy {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        sleep(self.at.draw(&random)).await;
        let annotations = self.annotations();
        for number in 0..self.count.draw(&random) {
            let mut spec = Spec::new(&self.namespace, &format!("{}-{number}", self.name));
            spec.annotations
                .extend(annotations.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            pods.make(&spec);
        }
        sleep(self.hold.draw(&random)).await;
        pods.clear(&format!("{}/{}-", self.namespace, self.name)).await;
    }
}
