//! The API as an `OpenAPI` 3.1 document, made from the model: every path that is served, with its verbs, and every
//! entity with its attributes. Never says anything of what is stored, so that it needs no login.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::model::{Attribute, Edge, Entity, Kind, Model, Name, ROOT};

/// The attributes that the server alone keeps.
const SERVERS: [(&str, &str); 8] = [
    ("ID", "string"),
    ("parentID", "string"),
    ("parentType", "string"),
    ("owner", "string"),
    ("creationDate", "integer"),
    ("lastUpdatedDate", "integer"),
    ("lastUpdatedBy", "string"),
    ("entityScope", "string"),
];

/// The document as JSON text; made once in a process.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| document(&Model::load()).to_string());
    &TEXT
}

fn document(model: &Model) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Nuage VSD, emulated", "version": "6" },
        "servers": [{ "url": "/nuage/api/v6" }],
        "security": [{ "password": [], "organization": [] }],
        "paths": paths(model),
        "components": {
            "securitySchemes": {
                "password": { "type": "http", "scheme": "basic" },
                "organization": { "type": "apiKey", "in": "header", "name": "X-Nuage-Organization" },
            },
            "parameters": parameters(),
            "schemas": schemas(model),
            "responses": responses(),
        },
    })
}

fn paths(model: &Model) -> Map<String, Value> {
    let mut paths = Map::new();
    for (name, entity) in &model.entities {
        if *name == ROOT {
            paths.insert("/me".to_owned(), me(entity));
        } else {
            paths.insert(format!("/{}/{{id}}", entity.resource), object(entity));
        }
        for (child, edge) in &entity.children {
            let Some((_, target)) = model.entity(child) else { continue };
            let (path, parameters) = match *name {
                ROOT => (format!("/{}", target.resource), json!([])),
                _ => (format!("/{}/{{id}}/{}", entity.resource, target.resource), json!([parameter("id")])),
            };
            let mut item = collection(entity.class, target, edge);
            item.insert("parameters".to_owned(), parameters);
            paths.insert(path, Value::Object(item));
        }
    }
    paths
}

/// The user who asks.
fn me(entity: &Entity) -> Value {
    json!({
        "get": operation("getMe", entity, &[], None, "200", Some(one(entity))),
        "put": operation("updateMe", entity, &[], Some(reference(entity)), "204", None),
    })
}

/// A single object.
fn object(entity: &Entity) -> Value {
    let mut item = Map::new();
    let class = entity.class;
    let mut add = |method: &str, operation: Value| item.insert(method.to_owned(), operation);
    if entity.verbs.contains('R') {
        add("get", operation(&format!("get{class}"), entity, &[], None, "200", Some(one(entity))));
    }
    let asked = ["responseChoice"];
    if entity.verbs.contains('U') {
        let body = Some(reference(entity));
        add("put", operation(&format!("update{class}"), entity, &asked, body, "204", None));
    }
    if entity.verbs.contains('D') {
        add("delete", operation(&format!("delete{class}"), entity, &asked, None, "204", None));
    }
    item.insert("parameters".to_owned(), json!([parameter("id")]));
    Value::Object(item)
}

/// The children of one entity below another.
fn collection(parent: Name, entity: &Entity, edge: &Edge) -> Map<String, Value> {
    let mut item = Map::new();
    let class = entity.class;
    let mut add = |method: &str, operation: Value| item.insert(method.to_owned(), operation);
    if edge.verbs.contains('R') {
        let listed = ["filter", "filterType", "page", "pageSize", "orderBy", "attributes", "groupBy"];
        let name = format!("list{class}Of{parent}");
        add("get", operation(&name, entity, &listed, None, "200", Some(one(entity))));
    }
    if edge.verbs.contains('C') {
        // An array is a bulk request, whose answer is an envelope.
        let body = json!({ "anyOf": [reference(entity), { "type": "array", "items": reference(entity) }] });
        let name = format!("create{class}Below{parent}");
        add("post", operation(&name, entity, &["responseChoice"], Some(body), "201", Some(one(entity))));
    }
    if edge.member && edge.verbs.contains('U') {
        let ids = || Some(json!({ "type": "array", "items": { "type": "string", "format": "uuid" } }));
        let name = format!("assign{class}To{parent}");
        add("put", operation(&name, entity, &["responseChoice"], ids(), "204", None));
        let name = format!("change{class}Of{parent}");
        add("patch", operation(&name, entity, &["patchType"], ids(), "204", None));
    }
    item
}

fn operation(
    id: &str,
    entity: &Entity,
    parameters: &[&str],
    body: Option<Value>,
    status: &str,
    reply: Option<Value>,
) -> Value {
    let mut success = json!({ "description": "Done" });
    if let Some(schema) = reply {
        success = json!({ "description": "Done", "content": { "application/json": { "schema": schema } } });
    }
    let refused = json!({ "$ref": "#/components/responses/Refused" });
    let unknown = json!({ "$ref": "#/components/responses/Unknown" });
    let mut operation = json!({
        "operationId": id,
        "tags": [entity.class],
        "parameters": parameters.iter().map(|name| parameter(name)).collect::<Vec<_>>(),
        "responses": { status: success, "401": unknown, "default": refused },
    });
    if let Some(schema) = body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// A list of an entity's objects; a single one comes as a list of one.
fn one(entity: &Entity) -> Value {
    json!({ "type": "array", "items": reference(entity) })
}

fn reference(entity: &Entity) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", entity.class) })
}

fn parameter(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

fn parameters() -> Value {
    let header = |name: &str, schema: Value| json!({ "name": name, "in": "header", "schema": schema });
    let text = || json!({ "type": "string" });
    json!({
        "id": { "name": "id", "in": "path", "required": true, "schema": { "type": "string", "format": "uuid" } },
        "responseChoice": { "name": "responseChoice", "in": "query", "schema": { "type": "integer", "enum": [1] } },
        "filter": header("X-Nuage-Filter", text()),
        "filterType": header("X-Nuage-FilterType", json!({ "type": "string", "enum": ["predicate", "plain"] })),
        "page": header("X-Nuage-Page", json!({ "type": "integer", "minimum": 0 })),
        "pageSize": header("X-Nuage-PageSize", json!({ "type": "integer", "minimum": 1 })),
        "orderBy": header("X-Nuage-OrderBy", text()),
        "attributes": header("X-Nuage-Attributes", text()),
        "groupBy": header("X-Nuage-GroupBy", json!({ "type": "boolean" })),
        "patchType": {
            "name": "X-Nuage-PatchType", "in": "header", "required": true,
            "schema": { "type": "string", "enum": ["add", "remove"] },
        },
    })
}

fn responses() -> Value {
    let description = json!({
        "type": "object",
        "properties": { "title": { "type": "string" }, "description": { "type": "string" } },
    });
    let error = json!({
        "type": "object",
        "properties": {
            "property": { "type": "string" },
            "descriptions": { "type": "array", "items": description },
        },
    });
    let body = json!({
        "type": "object",
        "required": ["errors"],
        "properties": {
            "errors": { "type": "array", "items": error },
            "internalErrorCode": { "type": "integer" },
        },
    });
    json!({
        "Refused": {
            "description": "Refused, or (300) to be confirmed with responseChoice=1",
            "content": { "application/json": { "schema": body } },
        },
        "Unknown": { "description": "Not logged in", "content": { "text/html": { "schema": { "type": "string" } } } },
    })
}

fn schemas(model: &Model) -> Map<String, Value> {
    let entities = model.entities.values().map(|entity| {
        let mut schema = record(&entity.attributes);
        for (name, kind) in SERVERS {
            schema["properties"][name] = json!({ "type": [kind, "null"], "readOnly": true });
        }
        (entity.class.to_owned(), schema)
    });
    let values = model.values.iter().map(|(name, attributes)| ((*name).to_owned(), record(attributes)));
    entities.chain(values).collect()
}

fn record(attributes: &BTreeMap<Name, Attribute>) -> Value {
    let properties: Map<String, Value> =
        attributes.iter().map(|(name, facts)| ((*name).to_owned(), attribute(facts))).collect();
    let needed = |facts: &Attribute| facts.required && facts.default.is_null() && !facts.read_only;
    let required: Vec<Name> =
        attributes.iter().filter(|(_, facts)| needed(facts)).map(|(name, _)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn attribute(facts: &Attribute) -> Value {
    let kind = match facts.kind {
        Kind::String => "string",
        Kind::Integer => "integer",
        Kind::Float => "number",
        Kind::Boolean => "boolean",
        Kind::List => "array",
        Kind::Object => "object",
    };
    let nullable = !facts.required;
    let mut schema = json!({ "type": if nullable { json!([kind, "null"]) } else { json!(kind) } });
    if !facts.choices.is_empty() {
        let choices = facts.choices.iter().map(|choice| Value::from(*choice));
        if facts.kind == Kind::List {
            schema["items"] = json!({ "enum": choices.collect::<Vec<_>>() });
        } else {
            schema["enum"] = choices.chain(nullable.then_some(Value::Null)).collect();
        }
    }
    let mut limit = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            schema[name] = value;
        }
    };
    let (smallest, largest) = facts.range.unzip();
    limit("minimum", smallest.map(Value::from));
    limit("maximum", largest.flatten().map(Value::from));
    let (shortest, longest) = facts.length.unzip();
    limit("minLength", shortest.map(Value::from));
    limit("maxLength", longest.flatten().map(Value::from));
    limit("readOnly", facts.read_only.then_some(Value::Bool(true)));
    limit("writeOnly", facts.secret.then_some(Value::Bool(true)));
    limit("default", (!facts.default.is_null()).then(|| facts.default.clone()));
    schema
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match (name.as_str(), member) {
                        ("$ref", Value::String(text)) => drop(found.insert(text.clone())),
                        _ => references(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_has_every_entity_and_edge_and_every_reference_leads_somewhere() {
        let model = Model::load();
        let document = document(&model);
        let edges = model.entities.values().map(|entity| entity.children.len()).sum::<usize>();
        assert_eq!(document["paths"].as_object().unwrap().len(), edges + model.entities.len());
        assert_eq!(document["components"]["schemas"].as_object().unwrap().len(), 322);
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document = document(&Model::load());
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values().filter(|value| value.is_object()) {
                let name = operation["operationId"].as_str().unwrap().to_owned();
                assert!(names.insert(name.clone()), "{path}: {name}");
            }
        }
    }
}
