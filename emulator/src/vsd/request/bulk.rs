//! Several objects of one entity in one request: each succeeds or fails by itself, and the reply says how, in the
//! order of the request. Never undoes what succeeded because a later one fails.

use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::body::object;
use super::{Asking, Request, create_one};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::reply;
use crate::vsd::shown;

/// The most objects of one request. Neutron's plugin sends at most 500 in an update and 150 in a deletion.
const MOST: usize = 1_000;

/// What several objects are to undergo.
pub(super) enum Several {
    Update(Vec<Value>),
    Delete(Vec<String>),
}

type Outcome = Result<(StatusCode, Value), Refusal>;

impl Request<'_> {
    /// Whether a request to a root path is about several objects wherever they lie: `PUT` of an array, `DELETE` with
    /// IDs in the query. That needs no root collection of the entity.
    pub(super) fn several(&self) -> Result<Option<Several>, Refusal> {
        match *self.method {
            Method::PUT => match self.json()? {
                Value::Array(bodies) => Ok(Some(Several::Update(bounded(bodies)?))),
                _ => Ok(None),
            },
            Method::DELETE => {
                let pairs = self.query.split(['&', '?']).filter_map(|pair| pair.split_once('='));
                let ids: Vec<String> =
                    pairs.filter(|(name, _)| *name == "id").map(|(_, id)| id.to_owned()).collect();
                Ok(if ids.is_empty() { None } else { Some(Several::Delete(bounded(ids)?)) })
            }
            _ => Ok(None),
        }
    }

    /// Updates or deletes several objects.
    pub(super) fn bulk(
        &self,
        engine: &mut Engine,
        asking: &Asking,
        entity: Name,
        several: Several,
    ) -> Result<Response, Refusal> {
        let verbs = engine.model.entity(entity).map_or("", |(_, facts)| facts.verbs);
        match several {
            Several::Update(bodies) if verbs.contains('U') => {
                let outcomes = bodies.into_iter().map(|body| self.update_one(engine, asking, entity, body));
                Ok(envelope(outcomes.collect()))
            }
            Several::Delete(ids) if verbs.contains('D') => {
                let outcomes = ids.iter().map(|id| {
                    let id = engine.find(entity, id)?.id;
                    self.delete(engine, asking, entity, id)?;
                    Ok((StatusCode::NO_CONTENT, Value::Null))
                });
                Ok(envelope(outcomes.collect()))
            }
            _ => Err(self.not_allowed(&[])),
        }
    }

    fn update_one(&self, engine: &mut Engine, asking: &Asking, entity: Name, body: Value) -> Outcome {
        let body = object(body)?;
        let id = body.get("ID").and_then(Value::as_str).unwrap_or_default();
        let id = engine.find(entity, id)?.id;
        self.update(engine, asking, entity, id, &body)?;
        Ok((StatusCode::OK, tree(engine, asking, entity, id)?))
    }
}

/// Creates several objects below one parent.
pub(super) fn create_all(
    engine: &mut Engine,
    asking: &Asking,
    parent: Option<(Name, Uuid)>,
    entity: Name,
    bodies: Vec<Value>,
) -> Result<Response, Refusal> {
    let outcomes = bounded(bodies)?.into_iter().map(|body| {
        let id = create_one(engine, asking, parent, entity, body)?;
        Ok((StatusCode::CREATED, tree(engine, asking, entity, id)?))
    });
    Ok(envelope(outcomes.collect()))
}

/// An object as the caller's release has it.
fn tree(engine: &Engine, asking: &Asking, entity: Name, id: Uuid) -> Result<Value, Refusal> {
    let mut tree = engine.render(engine.find(entity, &id.to_string())?);
    shown::cut(engine, entity, &mut tree, asking.release);
    Ok(tree)
}

fn bounded<T>(items: Vec<T>) -> Result<Vec<T>, Refusal> {
    if items.is_empty() || items.len() > MOST {
        return Err(Refusal::malformed(format!("a bulk request has from 1 to {MOST} objects")));
    }
    Ok(items)
}

/// 200, or 207 where some failed.
fn envelope(outcomes: Vec<Outcome>) -> Response {
    let total = outcomes.len();
    let failure = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let entry = |outcome: Outcome| {
        let (status, data) = outcome.unwrap_or_else(|refusal| (refusal.status, refusal.body()));
        json!({ "status": status.as_u16(), "data": data })
    };
    let response: Vec<Value> = outcomes.into_iter().map(entry).collect();
    let metadata = json!({ "total": total, "success": total - failure, "failure": failure });
    let status = if failure == 0 { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    let body = json!({ "response": response, "responseMetadata": metadata });
    reply::json(status, Vec::new(), body.to_string())
}
