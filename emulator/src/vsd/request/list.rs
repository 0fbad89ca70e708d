//! Lists and counts: filter, order, page, and which attributes are shown. Never changes anything.

use std::collections::BTreeSet;

use axum::response::Response;
use http::header::HeaderName;
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::{Asking, Request};
use crate::vsd::engine::{Engine, Query};
use crate::vsd::error::Refusal;
use crate::vsd::filter::Filter;
use crate::vsd::model::{Edge, Name};
use crate::vsd::reply;
use crate::vsd::settings::Settings;
use crate::vsd::shown;
use crate::vsd::store::Object;

/// The attributes that a client wants to see, and whether objects that agree in them are shown once.
struct Selection {
    attributes: Vec<String>,
    grouped: bool,
}

impl Request<'_> {
    /// A page of a collection, or how many objects it has.
    pub(super) fn list(
        &self,
        engine: &Engine,
        &Asking { ref caller, release, .. }: &Asking,
        parent: Option<&Object>,
        (entity, edge): (Name, &Edge),
    ) -> Result<Response, Refusal> {
        let settings = Settings::of(engine);
        let filter = self.filter()?.filter(|filter| !filter.trim().is_empty());
        let filter =
            filter.map(|filter| Filter::read(filter, self.text("x-nuage-filtertype"))).transpose()?;
        let (page, size) = (self.number("x-nuage-page"), self.number("x-nuage-pagesize"));
        let length = match (page, size, &filter) {
            // Clients take what comes with a filter for the first of several pages.
            (Some(_), _, _) | (_, Some(_), _) | (_, _, Some(_)) => {
                size.unwrap_or(settings.page_size).clamp(1, settings.largest_page)
            }
            (None, None, None) => settings.largest_response,
        };
        let first = page.unwrap_or(0).saturating_mul(length);
        let order =
            self.text("x-nuage-orderby").filter(|order| !order.trim().is_empty()).unwrap_or(usual(entity));
        let mut headers = self.echoed();
        let mut say = |name, value: String| headers.push((HeaderName::from_static(name), value));
        match (page, &filter) {
            (Some(page), _) => say("x-nuage-page", page.to_string()),
            (None, Some(_)) => say("x-nuage-page", "-1".to_owned()),
            (None, None) => {}
        }
        if page.is_some() || filter.is_some() {
            say("x-nuage-pagesize", length.to_string());
        }
        if let Some(filter) = &filter {
            say("x-nuage-filtertype", filter.kind().to_owned());
        }
        if !order.is_empty() {
            say("x-nuage-orderby", order.to_owned());
        }
        let order = ordering(order);
        let selection = self.selection();
        let grouped = selection.as_ref().is_some_and(|selection| selection.grouped);
        let window = (!grouped).then_some((first, length));
        let query = Query { filter, order, window };
        let (mut count, found) =
            engine.list(parent, entity, edge, &query, &|object| caller.sees(&engine.store, object));
        let all = selection.is_none() && *self.method != Method::HEAD;
        if all && !found.is_empty() {
            headers.push((HeaderName::from_static("x-nuage-count"), count.to_string()));
            return Ok(reply::json(StatusCode::OK, headers, shown::text(engine, &found, release)));
        }
        let mut objects = selected(engine, &found, selection.as_ref());
        if grouped {
            count = objects.len();
            objects = objects.into_iter().skip(first).take(length).collect();
        }
        if *self.method == Method::HEAD {
            headers.push((HeaderName::from_static("x-nuage-count"), count.to_string()));
            return Ok(reply::empty(StatusCode::OK, headers));
        }
        // One client asks for page after page until the count is nought.
        let said = if objects.is_empty() { 0 } else { count };
        headers.push((HeaderName::from_static("x-nuage-count"), said.to_string()));
        Ok(reply::array(StatusCode::OK, headers, objects))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.text(name).and_then(|value| value.trim().parse().ok())
    }

    fn selection(&self) -> Option<Selection> {
        let attributes = self.text("x-nuage-attributes")?.split(',').map(|name| name.trim().to_owned());
        let attributes: Vec<String> = attributes.filter(|name| !name.is_empty()).collect();
        let grouped = self.text("x-nuage-groupby").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        (!attributes.is_empty()).then_some(Selection { attributes, grouped })
    }
}

/// What the client selected of the objects; nothing where it selected nothing.
fn selected(engine: &Engine, found: &[&Object], selection: Option<&Selection>) -> Vec<Value> {
    let Some(selection) = selection else { return Vec::new() };
    let mut known = BTreeSet::new();
    let parts = found.iter().map(|object| part(engine, object, selection));
    parts.filter(|part| !selection.grouped || known.insert(part.to_string())).collect()
}

fn part(engine: &Engine, object: &Object, selection: &Selection) -> Value {
    let field = |name: &String| (name.clone(), engine.field(object, name).into_owned());
    let mut shown: Map<String, Value> = selection.attributes.iter().map(field).collect();
    if !selection.grouped {
        shown.insert("ID".to_owned(), Value::from(object.id.to_string()));
    }
    Value::Object(shown)
}

/// The order where a client names none, as recorded.
fn usual(entity: Name) -> &'static str {
    match entity {
        "floatingip" => "address ASC",
        "sharednetworkresource" => "",
        _ => "name ASC",
    }
}

/// Reads `name DESC, login ASC`.
fn ordering(text: &str) -> Vec<(String, bool)> {
    let terms = text.split(',').filter_map(|term| {
        let mut words = term.split_whitespace();
        let name = words.next()?.to_owned();
        Some((name, words.next().is_some_and(|word| word.eq_ignore_ascii_case("desc"))))
    });
    terms.collect()
}
