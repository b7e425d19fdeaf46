//! `salebridge send`: signs a case as its provider would, with the source's own secret, and sends it to the running bridge.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::print::Printer;
use super::{Answer, Failure, runtime};
use crate::app::load;
use crate::domain::{Clock as _, SystemClock};
use crate::outbound::post;
use crate::pack::{Case, Source};
use crate::receive::Config;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configured source
    source: String,
    /// A case of the source's pack by its name (a wrong one lists them all), or a case file
    case: String,
    /// Change the JSON body before it is signed: data.object.id=in_2 (repeatable)
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    let checked = load(config)?;
    let source = checked
        .sources
        .get(&arguments.source)
        .ok_or_else(|| Failure::Usage(format!("{} is not a configured source", arguments.source)))?;
    let mut case = find_case(source, &arguments.case)?;
    for change in &arguments.set {
        set(&mut case.body, change).map_err(|cause| Failure::Usage(format!("--set {change}: {cause}")))?;
    }
    let url = format!("{}{}", local_url(&checked.server), source.path());
    let (status, body) = runtime()?.block_on(deliver(source, &case, &url)).map_err(Failure::No)?;
    if printer.is_json() {
        let body: Value = serde_json::from_str(&body).unwrap_or(Value::String(body));
        printer.json(&json!({"status": status, "body": body}));
    } else {
        let word = if status == 200 { printer.good("200") } else { printer.bad(&status.to_string()) };
        printer.line(format!("{word} {body}"));
    }
    if (200..300).contains(&status) { Ok(()) } else { Err(Failure::No(format!("the bridge answered {status}"))) }
}

/// Signs a case as of now and posts it.
pub(super) async fn deliver(source: &Source, case: &Case, url: &str) -> Result<(u16, String), String> {
    let now = SystemClock.now();
    let mut request = case.request(&source.name, now);
    request.received_at = now;
    request.url.clone_from(&source.url);
    source.pack.scheme.sign(&source.keys, &mut request).map_err(|error| error.to_string())?;
    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    post(&format!("{url}{query}"), &request.headers, request.body).await
}

/// Where a bridge of this configuration is reached from this machine. Where it speaks TLS itself, by the name for which its
/// certificate is.
pub(super) fn local_url(server: &Config) -> String {
    match (&server.tls, &server.public_url) {
        (Some(_), Some(url)) => url.trim_end_matches('/').to_owned(),
        (Some(_), None) => format!("https://{}", here(&server.listen)),
        (None, _) => format!("http://{}", here(&server.listen)),
    }
}

/// The address by which this machine reaches a listener of its own.
pub(super) fn here(listen: &str) -> String {
    let port = listen.rsplit_once(':').map_or("80", |(_, port)| port);
    let is_everywhere = listen.starts_with("0.0.0.0:") || listen.starts_with("[::]:");
    if is_everywhere { format!("127.0.0.1:{port}") } else { listen.to_owned() }
}

/// A case of the pack by its name, else a file.
fn find_case(source: &Source, name: &str) -> Result<Case, Failure> {
    let file = format!("{name}.http");
    let embedded = source.pack.folder.cases().find(|(known, _)| *known == file).map(|(_, bytes)| bytes.to_vec());
    let bytes = match embedded {
        Some(bytes) => bytes,
        None => std::fs::read(name).map_err(|error| {
            let names: Vec<&str> = source.pack.folder.cases().filter_map(|(file, _)| file.strip_suffix(".http")).collect();
            Failure::Usage(format!(
                "{name} is neither a case of {} nor a file ({error}); its cases: {}",
                source.pack.name(),
                names.join(", ")
            ))
        })?,
    };
    Case::parse(&bytes).map_err(|error| Failure::Usage(format!("{name}: {error}")))
}

/// Sets one value in a JSON body. The path's steps are separated by dots; a number is the index of a list. The value is JSON,
/// or else text.
fn set(body: &mut Vec<u8>, change: &str) -> Result<(), String> {
    let (path, value) = change.split_once('=').ok_or("must read like data.object.id=in_2")?;
    let value: Value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    let mut document: Value = serde_json::from_slice(body).map_err(|error| format!("the case's body is not JSON: {error}"))?;
    let mut place = &mut document;
    for step in path.strip_prefix("$.").unwrap_or(path).split('.') {
        let index: Option<usize> = step.parse().ok();
        place = match (place, index) {
            (Value::Array(values), Some(index)) => values.get_mut(index).ok_or_else(|| format!("there is no element {index}"))?,
            (Value::Object(object), _) => object.entry(step).or_insert(Value::Null),
            (place @ Value::Null, _) => {
                *place = json!({});
                place.as_object_mut().expect("it was just made one").entry(step).or_insert(Value::Null)
            }
            (Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {
                return Err(format!("{step} leads nowhere"));
            }
        };
    }
    *place = value;
    *body = document.to_string().into_bytes();
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_value_is_set_and_the_rest_keeps_its_digits() {
        let mut body = br#"{"id":"evt_1","data":{"object":{"amount":9007199254740993,"lines":[{"a":1}]}}}"#.to_vec();
        for change in ["$.id=evt_2", "data.object.lines.0.a=\"x\"", "data.object.metadata.clickId=c-1"] {
            super::set(&mut body, change).expect("a path that leads somewhere");
        }
        let expected =
            r#"{"id":"evt_2","data":{"object":{"amount":9007199254740993,"lines":[{"a":"x"}],"metadata":{"clickId":"c-1"}}}}"#;
        assert_eq!(String::from_utf8(body).expect("UTF-8"), expected);
        assert!(super::set(&mut b"{}".to_vec(), "nothing").is_err());
    }
}
