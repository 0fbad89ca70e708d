//! Values for a column's type: mostly right, from domains so small that they meet again, and now and then wrong.

use nuage_emulator::entropy::Entropy;
use nuage_ovsdb::schema::{AtomicType, BaseType, ColumnType};
use nuage_ovsdb::value::Atom;
use serde_json::{Value, json};

/// A row that never exists.
pub(crate) const NOBODY: &str = "11111111-1111-4111-8111-111111111111";
/// The identifier that stands for none.
pub(crate) const ZERO: &str = "00000000-0000-0000-0000-000000000000";
/// Short, empty, long, with a quote, with letters beyond ASCII, like a number, like a keyword.
const TEXTS: [&str; 14] = [
    "",
    "a",
    "b",
    "nu1",
    "nu2",
    "br0",
    "x y",
    "q\"\\",
    "\u{e9}t\u{e9}",
    "5",
    "true",
    "long-enough",
    "Z",
    "a-b.c",
];
const INTEGERS: [i64; 16] = [0, 1, 2, 3, 5, 7, -1, 10, 42, 100, 101, 255, 4095, 65_536, i64::MAX, i64::MIN];
const REALS: [f64; 12] = [0.0, 1.0, -1.5, 2.5, 0.1, 0.5, 3.75, 1e3, -7.25, 1e300, 1e-7, 123_456.789];

/// The source of every choice.
pub(crate) struct Dice(Entropy);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Entropy::seeded(seed))
    }

    /// From 0 to `count` - 1.
    pub(crate) fn below(&self, count: usize) -> usize {
        usize::try_from(self.0.next() % u64::try_from(count.max(1)).unwrap()).unwrap()
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    pub(crate) fn uuid(&self) -> String {
        self.0.uuid().to_string()
    }
}

/// What rows there are to refer to.
pub(crate) trait Rows {
    /// A reference to a row of `table` as the present transaction may write it.
    fn reference(&self, dice: &Dice, table: &str) -> Value;
}

/// At most one mistake is made in a request: which of two the real server finds first comes from a hash.
pub(crate) struct Values<'a> {
    pub(crate) dice: &'a Dice,
    pub(crate) rows: &'a dyn Rows,
    /// Whether a mistake may still be made.
    pub(crate) mistake: bool,
}

impl Values<'_> {
    /// Whether to make the mistake here.
    pub(crate) fn err(&mut self, percent: usize) -> bool {
        let now = self.mistake && self.dice.chance(percent);
        self.mistake &= !now;
        now
    }

    /// A value for a column.
    pub(crate) fn column(&mut self, kind: &ColumnType) -> Value {
        if self.err(8) {
            return self.wrong(kind);
        }
        let most = kind.max.map_or(3, |max| usize::try_from(max.min(3)).unwrap());
        let least = usize::try_from(kind.min).unwrap();
        self.of_size(kind, least + self.dice.below(most - least + 1))
    }

    /// A value of that many distinct elements, as far as the domain has them.
    pub(crate) fn of_size(&mut self, kind: &ColumnType, count: usize) -> Value {
        let mut keys: Vec<Value> = Vec::new();
        for _ in 0..count {
            let key = self.atom(&kind.key);
            // 1 and 1.0 are one key.
            if !keys.iter().any(|known| *known == key || (key.is_number() && known.as_f64() == key.as_f64()))
            {
                keys.push(key);
            }
        }
        if let Some(value) = &kind.value {
            let pairs: Vec<Value> = keys.into_iter().map(|key| json!([key, self.atom(value)])).collect();
            return json!(["map", pairs]);
        }
        match keys.as_slice() {
            [only] if self.dice.chance(80) => only.clone(),
            _ => json!(["set", keys]),
        }
    }

    /// An atom that its type's constraints allow, unless it is time for a mistake.
    pub(crate) fn atom(&mut self, base: &BaseType) -> Value {
        if self.err(4) {
            return self.any_atom(base.atomic, base);
        }
        if let Some(allowed) = &base.enumeration {
            let allowed: Vec<&Atom> = allowed.iter().collect();
            return self.dice.pick(&allowed).to_json();
        }
        for _ in 0..50 {
            let atom = self.any_atom(base.atomic, base);
            if allowed(base, &atom) {
                return atom;
            }
        }
        base.min.as_ref().or(base.max.as_ref()).map_or(Value::Null, Atom::to_json)
    }

    fn any_atom(&self, atomic: AtomicType, base: &BaseType) -> Value {
        match atomic {
            AtomicType::Integer if self.dice.chance(3) => json!(5.0),
            AtomicType::Integer => json!(self.dice.pick(&INTEGERS)),
            AtomicType::Real if self.dice.chance(20) => json!(self.dice.pick(&INTEGERS[..14])),
            AtomicType::Real => json!(self.dice.pick(&REALS)),
            AtomicType::Boolean => json!(self.dice.chance(50)),
            AtomicType::String => json!(self.dice.pick(&TEXTS)),
            AtomicType::Uuid => match &base.reference {
                Some(reference) => self.rows.reference(self.dice, &reference.table),
                None => json!(["uuid", self.dice.pick(&[ZERO, NOBODY])]),
            },
        }
    }

    /// A value of another type, size or notation.
    fn wrong(&mut self, kind: &ColumnType) -> Value {
        match self.dice.below(12) {
            0 => json!("text"),
            1 => json!(5),
            2 => json!(5.5),
            3 => json!(true),
            4 => Value::Null,
            5 => json!({"a": 1}),
            6 => json!(["uuid", "short"]),
            7 => json!(["set", 5]),
            8 => json!(["map", [["a"]]]),
            9 => json!([]),
            10 => {
                let atom = self.atom(&kind.key);
                match &kind.value {
                    Some(_) => json!(["map", [[atom, "v"], [atom, "w"]]]),
                    None => json!(["set", [atom, atom]]),
                }
            }
            _ => {
                let most = kind.max.map_or(5, |max| usize::try_from(max.min(5)).unwrap());
                self.of_size(kind, most + 1)
            }
        }
    }
}

/// Whether the constraints of a type allow an atom.
fn allowed(base: &BaseType, atom: &Value) -> bool {
    let bound = |bound: &Option<Atom>| bound.as_ref().and_then(|atom| atom.to_json().as_f64());
    let number = atom.as_f64();
    let within = number.is_none_or(|number| {
        bound(&base.min).is_none_or(|min| number >= min) && bound(&base.max).is_none_or(|max| number <= max)
    });
    let length = atom.as_str().map(|text| text.chars().count() as u64);
    within
        && length.is_none_or(|length| {
            base.min_length.is_none_or(|min| length >= min) && base.max_length.is_none_or(|max| length <= max)
        })
}
