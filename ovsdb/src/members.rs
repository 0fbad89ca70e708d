//! The members of a JSON object (a request's, a schema's), taken out one by one; what is left over is an error. Gives the first
//! error that the real server's parser would give, in its words; never reads a value further than its kind.

use std::cell::{Cell, RefCell};

use serde_json::{Map, Value};

use crate::read::{ValueError, is_id};

/// What a member may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// An array.
    Array,
    /// An object.
    Object,
    /// A string.
    String,
    /// A string or an object: a type.
    Type,
    /// A number.
    Number,
    /// A number without a fraction.
    Integer,
    /// An integer or a string: a limit that may be `unlimited`.
    Limit,
    /// `true` or `false`.
    Boolean,
    /// A string that is an `<id>` (RFC 7047 section 3.1).
    Id,
}

impl Expect {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::String => value.is_string(),
            Self::Type => value.is_string() || value.is_object(),
            Self::Number => value.is_number(),
            Self::Integer => value.is_i64(),
            Self::Limit => value.is_i64() || value.is_string(),
            Self::Boolean => value.is_boolean(),
            Self::Id => value.as_str().is_some_and(is_id),
        }
    }
}

/// An object that is being read. Errors are kept: the first one counts, and it overrides what else goes wrong.
#[derive(Debug)]
pub struct Members<'a> {
    /// What is read.
    pub json: &'a Value,
    object: Option<&'a Map<String, Value>>,
    /// How many members have been taken.
    used: Cell<usize>,
    taken: RefCell<Vec<&'static str>>,
    error: RefCell<Option<ValueError>>,
    what: String,
}

impl<'a> Members<'a> {
    /// Begins to read `json`, which error texts call `what`.
    pub fn new(json: &'a Value, what: String) -> Self {
        let object = json.as_object();
        let error = object
            .is_none()
            .then(|| ValueError::unquoted(format!("Parsing {what} failed: Object expected.")));
        Self { json, object, used: Cell::new(0), taken: RefCell::default(), error: RefCell::new(error), what }
    }

    /// Keeps an error, unless there is one already.
    pub fn fail(&self, details: &str) {
        let mut error = self.error.borrow_mut();
        if error.is_none() {
            *error = Some(ValueError::syntax(format!("Parsing {} failed: {details}", self.what), self.json));
        }
    }

    fn member(&self, name: &'static str, expect: Expect, optional: bool) -> Option<&'a Value> {
        match self.object.and_then(|object| object.get(name)) {
            None if optional || self.object.is_none() => None,
            None => {
                self.fail(&format!("Required '{name}' member is missing."));
                None
            }
            Some(value) if expect.fits(value) => {
                self.used.set(self.used.get() + 1);
                self.taken.borrow_mut().push(name);
                Some(value)
            }
            Some(_) => {
                self.fail(&format!("Type mismatch for member '{name}'."));
                None
            }
        }
    }

    /// A member that may be missing.
    pub fn optional(&self, name: &'static str, expect: Expect) -> Option<&'a Value> {
        self.member(name, expect, true)
    }

    /// A member that must be there.
    pub fn required(&self, name: &'static str, expect: Expect) -> Option<&'a Value> {
        self.member(name, expect, false)
    }

    /// A string that must be there.
    pub fn text(&self, name: &'static str, expect: Expect) -> &'a str {
        self.required(name, expect).and_then(Value::as_str).unwrap_or_default()
    }

    /// A flag that may be missing.
    pub fn flag(&self, name: &'static str, otherwise: bool) -> bool {
        self.optional(name, Expect::Boolean).and_then(Value::as_bool).unwrap_or(otherwise)
    }

    /// An array that must be there.
    pub fn array(&self, name: &'static str) -> &'a [Value] {
        self.required(name, Expect::Array).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Whether the members taken so far were right.
    ///
    /// # Errors
    /// The first thing that was wrong.
    pub fn check(&self) -> Result<(), ValueError> {
        self.error.borrow().clone().map_or(Ok(()), Err)
    }

    /// Whether all members have been taken and were right.
    ///
    /// # Errors
    /// The first thing that was wrong.
    pub fn finish(&self) -> Result<(), ValueError> {
        if let Some(object) = self.object.filter(|object| object.len() > self.used.get()) {
            let taken = self.taken.borrow();
            if let Some(name) = object.keys().find(|name| !taken.contains(&name.as_str())) {
                self.fail(&format!("Member '{name}' is present but not allowed here."));
            }
        }
        self.check()
    }
}
