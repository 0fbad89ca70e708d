//! Expressions of policy groups, of domains and of their templates. What they mean is `policy`'s to say.

use super::{Behaviour, Body};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::policy::Expression;
use crate::vsd::store::Object;

pub(super) struct GroupExpression;

impl Behaviour for GroupExpression {
    fn creating(&self, _engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        check(draft)
    }

    fn updating(&self, _engine: &mut Engine, _before: &Object, after: &mut Object) -> Result<(), Refusal> {
        check(after)
    }

    fn asks_if_used(&self) -> bool {
        true
    }
}

/// 409 for a text that is no expression. A group that there is not is one that nobody is in.
fn check(object: &Object) -> Result<(), Refusal> {
    let text = object.text("expression").unwrap_or_default();
    if Expression::read(text).is_some() {
        return Ok(());
    }
    let description = "Names of policy groups, &&, ||, ! and parentheses are expected.".to_owned();
    Err(Refusal::invalid("expression", "Invalid expression", description))
}
