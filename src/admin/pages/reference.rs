//! What programs can ask: the document of the admin API as a page. It is read from the document itself, so that the two cannot differ,
//! and it names no token.

use askama::Template;
use serde_json::{Map, Value, json};

use super::html::{Html, code, link, words};
use super::layout::{Layout, Room};
use super::visitor::{Answer, Visitor, page};
use crate::admin::api::description;

#[derive(Template)]
#[template(path = "reference.html")]
struct Reference {
    layout: Layout,
    about: Html,
    groups: Vec<Group>,
    shapes: Vec<Shape>,
}

/// The operations of one room.
struct Group {
    name: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: Html,
    parameters: Vec<Field>,
    /// What is sent, where something is.
    body: Option<Shape>,
    /// What comes back when it is done.
    answer: Html,
    /// The statuses of all other answers, with what they mean.
    problems: Vec<(String, String)>,
    curl: String,
}

/// A structure that the document names, or one that is sent.
struct Shape {
    name: String,
    about: Html,
    fields: Vec<Field>,
    /// The words that it can be, each with what it means.
    values: Vec<(String, Html)>,
    /// The forms that it can have, each with what it means.
    forms: Vec<(Html, Vec<Field>)>,
    /// What it is, where it is none of these.
    kind: Html,
}

/// A parameter, or a field of a structure.
struct Field {
    name: String,
    /// Where a parameter stands.
    place: String,
    kind: Html,
    limits: String,
    is_required: bool,
    about: Html,
    values: Vec<(String, Html)>,
}

/// `GET /api`.
pub(super) async fn show(visitor: Visitor) -> Answer {
    let document = description();
    page(&Reference {
        layout: visitor.layout(Room::Reference, "The admin API"),
        about: told(&document["info"]),
        groups: groups(document),
        shapes: entries(&document["components"]["schemas"]).map(|(name, schema)| shape(name, schema)).collect(),
    })
}

/// The operations in the order of the document, by the part of the path that says what they are about.
fn groups(document: &Value) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (path, operations) in entries(&document["paths"]) {
        for (method, described) in entries(operations) {
            let name = text(&described["tags"][0]).to_owned();
            let operation = operation(method, path, described);
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.operations.push(operation),
                None => groups.push(Group { name, operations: vec![operation] }),
            }
        }
    }
    groups
}

fn operation(method: &str, path: &str, described: &Value) -> Operation {
    let body = &described["requestBody"]["content"]["application/json"]["schema"];
    let mut problems: Vec<(&str, &Value)> = entries(&described["responses"]).filter(|(status, _)| *status != "200").collect();
    problems.sort_unstable_by_key(|(status, _)| *status);
    Operation {
        id: text(&described["operationId"]).to_owned(),
        method: method.to_ascii_uppercase(),
        path: path.to_owned(),
        summary: words(text(&described["summary"])),
        parameters: described["parameters"].as_array().into_iter().flatten().map(parameter).collect(),
        body: (!body.is_null()).then(|| shape(text(&body["title"]), body)),
        answer: answer(&described["responses"]["200"]["content"]),
        problems: problems.into_iter().map(|(status, told)| (status.to_owned(), text(&told["description"]).to_owned())).collect(),
        curl: curl(method, path, body),
    }
}

fn answer(content: &Value) -> Html {
    match content.get("application/json") {
        Some(json) => kind(&json["schema"]),
        None => words("bytes, as they were received"),
    }
}

fn parameter(parameter: &Value) -> Field {
    let about = &parameter["description"];
    let mut field = field(text(&parameter["name"]), &parameter["schema"], parameter["required"] == true);
    field.place = text(&parameter["in"]).to_owned();
    if about.is_string() {
        field.about = words(text(about));
    }
    field
}

fn shape(name: &str, schema: &Value) -> Shape {
    let values = values(schema);
    let choices = schema["oneOf"].as_array().filter(|_| values.is_empty());
    let forms: Vec<(Html, Vec<Field>)> = choices.into_iter().flatten().map(|form| (told(form), fields(form))).collect();
    let fields = fields(schema);
    let is_plain = fields.is_empty() && values.is_empty() && forms.is_empty();
    let kind = if is_plain && schema["type"] != "object" { kind(schema) } else { Html::default() };
    Shape { name: name.to_owned(), about: told(schema), fields, values, forms, kind }
}

fn fields(schema: &Value) -> Vec<Field> {
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|known| *known == name));
    entries(&schema["properties"]).map(|(name, schema)| field(name, schema, is_required(name))).collect()
}

fn field(name: &str, schema: &Value, is_required: bool) -> Field {
    let item = schema.get("items").unwrap_or(schema);
    Field {
        name: name.to_owned(),
        place: String::new(),
        kind: kind(schema),
        limits: limits(schema).join(", "),
        is_required,
        about: told(schema),
        values: values(item),
    }
}

/// The words that something can be, where it can be nothing else.
fn values(schema: &Value) -> Vec<(String, Html)> {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().filter_map(|word| Some((word.as_str()?.to_owned(), Html::default()))).collect();
    }
    let choices = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |choice: &Value| Some((choice["const"].as_str()?.to_owned(), told(choice)));
    choices.iter().map(word).collect::<Option<_>>().unwrap_or_default()
}

/// What something is, in words, with a link to each structure that the document names.
fn kind(schema: &Value) -> Html {
    if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        return link(&format!("#schema-{name}"), name);
    }
    if let Some(only) = schema.get("const") {
        return code(text(only));
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return Html::join(choices.iter().map(kind), " or ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect(),
        Value::String(only) => vec![only],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) if schema["oneOf"].is_array() => vec!["string"],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec!["anything"],
    };
    Html::join(types.into_iter().map(|name| of_type(name, schema)), " or ")
}

fn of_type(name: &str, schema: &Value) -> Html {
    match (name, schema["prefixItems"].as_array(), schema.get("items")) {
        ("array", Some(items), _) => Html::join([words("list: "), Html::join(items.iter().map(kind), ", ")], ""),
        ("array", None, Some(items)) => Html::join([words("list of "), kind(items)], ""),
        ("string", _, _) if schema["format"].is_string() => words(&format!("string ({})", text(&schema["format"]))),
        _ => words(name),
    }
}

/// What bounds a value.
fn limits(schema: &Value) -> Vec<String> {
    let between = |least: &str, most: &str, what: &str| match (schema[least].as_u64(), schema[most].as_u64()) {
        (Some(least), Some(most)) if least == most => Some(format!("exactly {least}{what}")),
        (Some(least), Some(most)) => Some(format!("{least} to {most}{what}")),
        (Some(least), None) => Some(format!("at least {least}{what}")),
        (None, Some(most)) => Some(format!("at most {most}{what}")),
        (None, None) => None,
    };
    let bounds = [
        between("minLength", "maxLength", " characters"),
        between("minimum", "maximum", ""),
        between("minItems", "maxItems", " of them"),
        schema["pattern"].as_str().map(|pattern| format!("of the form {pattern}")),
    ];
    bounds.into_iter().flatten().collect()
}

/// How it is asked with curl: by shell variables, so that no token ever stands here.
fn curl(method: &str, path: &str, body: &Value) -> String {
    let path = path.replace("{id}", "1").replace("{name}", "NAME");
    let head = "curl -H \"Authorization: Bearer $TOKEN\"";
    match method {
        "get" => format!("{head} \"$BRIDGE{path}\""),
        _ => {
            format!("{head} -H \"Content-Type: application/json\" \\\n  -d '{}' \"$BRIDGE{path}\"", Value::Object(example(body)))
        }
    }
}

/// A body with what it must have, and with the first word of each list of words.
fn example(schema: &Value) -> Map<String, Value> {
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|known| *known == name));
    let value = |(name, schema): (&str, &Value)| {
        let first = schema.get("items").map(values).unwrap_or_default().into_iter().next();
        let value = match (first, text(&schema["type"])) {
            (Some((word, _)), _) => json!([word]),
            (None, _) if !is_required(name) => return None,
            (None, "boolean") => json!(true),
            (None, "integer" | "number") => json!(1),
            (None, _) => json!("…"),
        };
        Some((name.to_owned(), value))
    };
    entries(&schema["properties"]).filter_map(value).collect()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn told(schema: &Value) -> Html {
    match text(&schema["description"]) {
        "" => Html::default(),
        text => words(text),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
