//! The table of the API's operations: the routes and the document (OpenAPI 3.1) are both made from it, so that they cannot differ.

use actix_web::{Route, web};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::admin::API_VERSION;
use crate::admin::problem::Details;

/// Where schemas stand in the document.
const SCHEMAS: &str = "/components/schemas";

/// A schema that is still to be made.
type Make = fn(&mut SchemaGenerator) -> Schema;

/// What an operation answers with.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// JSON of this shape.
    Json(Make),
    /// Bytes, as they were received.
    Bytes,
}

/// One operation.
pub(super) struct Operation {
    /// `get` or `post`.
    method: &'static str,
    /// The path, with its places in braces.
    path: &'static str,
    /// Its stable name.
    id: &'static str,
    /// What it does, in a sentence.
    summary: &'static str,
    query: Option<Make>,
    body: Option<Make>,
    answer: Answer,
    /// Which answers there are beside success, 401, 403 and 503.
    problems: &'static [u16],
    route: fn() -> Route,
}

impl Operation {
    /// Something that is only read.
    pub(super) fn get(path: &'static str, id: &'static str, summary: &'static str, answer: Answer, route: fn() -> Route) -> Self {
        let problems: &[u16] = if path.contains('{') { &[404, 422] } else { &[] };
        Self { method: "get", path, id, summary, query: None, body: None, answer, problems, route }
    }

    /// Something that is searched for, or changed, by a body of this shape.
    pub(super) fn post<B: JsonSchema>(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        answer: Answer,
        route: fn() -> Route,
    ) -> Self {
        let body: Option<Make> = Some(|_| given::<B>());
        Self { method: "post", path, id, summary, query: None, body, answer, problems: &[404, 409, 413, 415, 422], route }
    }

    /// The same, with parameters of the query.
    pub(super) fn with_query<Q: JsonSchema>(mut self) -> Self {
        self.query = Some(|_| given::<Q>());
        if self.problems.is_empty() {
            self.problems = &[422];
        }
        self
    }

    /// What a parameter names may not be there.
    pub(super) fn may_be_missing(mut self) -> Self {
        self.problems = &[404, 422];
        self
    }

    fn describe(&self, generator: &mut SchemaGenerator) -> Value {
        let mut answers = Map::new();
        let content = match self.answer {
            Answer::Json(make) => json!({"application/json": {"schema": make(generator)}}),
            Answer::Bytes => json!({"application/octet-stream": {}}),
        };
        answers.insert("200".to_owned(), json!({"description": "Done.", "content": content}));
        for status in [401, 403, 503].iter().chain(self.problems) {
            let schema = generator.subschema_for::<Details>();
            let problem = json!({"description": name_of(*status), "content": {"application/problem+json": {"schema": schema}}});
            answers.insert(status.to_string(), problem);
        }
        let mut described = json!({
            "operationId": self.id, "summary": self.summary, "tags": [self.tag()],
            "parameters": self.parameters(generator), "responses": answers,
        });
        if let Some(make) = self.body {
            described["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": make(generator)}}});
        }
        described
    }

    /// The part of the path that says what it is about.
    fn tag(&self) -> &'static str {
        self.path.split('/').nth(3).unwrap_or_default()
    }

    fn parameters(&self, generator: &mut SchemaGenerator) -> Vec<Value> {
        let mut parameters: Vec<Value> = Vec::new();
        for place in self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let schema = match place {
                "id" => json!({"type": "integer", "format": "int64", "minimum": 1}),
                _ => json!({"type": "string", "minLength": 1, "maxLength": 100}),
            };
            parameters.push(json!({"name": place, "in": "path", "required": true, "schema": schema}));
        }
        let query = self.query.map(|make| make(generator).to_value());
        let properties = query.as_ref().and_then(|schema| schema["properties"].as_object()).cloned().unwrap_or_default();
        for (name, mut schema) in properties {
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description")).unwrap_or_default();
            without_null(&mut schema);
            parameters
                .push(json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema}));
        }
        parameters
    }
}

/// What is asked with, whole: what may be left out is another matter in a question than in an answer.
fn given<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>()
}

/// A parameter that is left out is not null.
fn without_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|value| !value.is_null());
    }
    if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = choices.as_slice() {
            *schema = only.clone();
        }
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("default");
    }
}

fn name_of(status: u16) -> &'static str {
    match status {
        401 => "The token is missing or wrong.",
        403 => "It comes from another site.",
        404 => "There is no such thing.",
        409 => "It does not go together with how things are.",
        413 => "The body is too large.",
        415 => "The body is not JSON by its Content-Type.",
        422 => "What was asked for makes no sense.",
        _ => "The store cannot be reached; nothing was changed.",
    }
}

/// JSON of this shape.
pub(super) fn json_of<T: JsonSchema>() -> Answer {
    Answer::Json(|generator| generator.subschema_for::<T>())
}

/// The routes of all operations; another method on the same path is 405.
pub(super) fn routes(operations: &[Operation], service: &mut web::ServiceConfig) {
    let mut paths: Vec<&'static str> = operations.iter().map(|operation| operation.path).collect();
    paths.dedup();
    for path in paths {
        let mut resource = web::resource(path);
        for operation in operations.iter().filter(|operation| operation.path == path) {
            resource = resource.route((operation.route)());
        }
        service.service(resource);
    }
}

/// The document.
pub(super) fn document(operations: &[Operation]) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let described = operation.describe(&mut generator);
        let place = paths.entry(operation.path).or_insert_with(|| json!({}));
        place[operation.method] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "salebridge admin API",
            "version": API_VERSION.to_string(),
            "description": "Everything that an operator can see, explain and mend. Amounts are exact decimals in major units; times are RFC 3339 in UTC; numbers of requests, sales and deliveries never change.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "admin.token"}},
            "schemas": generator.take_definitions(true),
        },
    })
}
