//! Whoever calls a listener, a sender, a person or a program: whatever they are answered is kept, and every URL in it is found.

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use crate::harness::process::exchange;

/// What was asked, and what came back.
pub(super) struct Seen {
    pub(super) asked: String,
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

/// Someone who calls a listener.
pub(super) struct Caller {
    address: String,
    /// The headers that are always sent.
    pub(super) headers: Vec<(String, String)>,
    /// All that was seen so far.
    pub(super) seen: Vec<Seen>,
}

impl Caller {
    pub(super) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), headers: Vec::new(), seen: Vec::new() }
    }

    /// From now on this header is sent, and no other.
    pub(super) fn shows(&mut self, name: &str, value: &str) {
        self.headers = vec![(name.to_owned(), value.to_owned())];
    }

    /// Asks, and keeps what comes back.
    pub(super) fn asks(&mut self, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> &Seen {
        let address = &self.address;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(more.iter().copied()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let answer = exchange(address, format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {answer}"));
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        let seen = Seen { asked: format!("{method} {path}"), status, head: head.to_owned(), body: body.to_owned() };
        self.seen.push(seen);
        self.seen.last().unwrap()
    }

    pub(super) fn gets(&mut self, path: &str) -> &Seen {
        self.asks("GET", path, &[], "")
    }

    /// Sends JSON.
    pub(super) fn posts(&mut self, path: &str, body: &Value) -> &Seen {
        self.asks("POST", path, &[("Content-Type", "application/json")], &body.to_string())
    }

    /// Sends a form of the page at `from`, as a browser does.
    pub(super) fn sends(&mut self, from: &str, path: &str, fields: &[(&str, &str)]) -> &Seen {
        let page = &self.gets(from).body;
        let (_, rest) = page.split_once("name=\"word\" value=\"").unwrap_or_else(|| panic!("no form: {page}"));
        let word = rest.split('"').next().unwrap().to_owned();
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.append_pair("word", &word).extend_pairs(fields).finish();
        let origin = format!("http://{}", self.address);
        self.asks("POST", path, &[("Content-Type", "application/x-www-form-urlencoded"), ("Origin", &origin)], &body)
    }

    /// Opens every page to which one leads from the first, and answers with all of them. Each must be there.
    pub(super) fn crawls(&mut self) -> BTreeSet<String> {
        let (mut known, mut waiting) = (BTreeSet::new(), VecDeque::from(["/".to_owned()]));
        while let Some(path) = waiting.pop_front() {
            if path.starts_with("/static/") || !known.insert(path.clone()) {
                continue;
            }
            assert!(known.len() < 500, "so many pages there are not: {known:?}");
            let seen = self.gets(&path);
            assert_eq!(seen.status, 200, "{path}: {}", seen.body);
            let links = attributes(&seen.body).filter(|(name, _)| name == "href").map(|(_, url)| url);
            waiting.extend(links.filter(|url| url.starts_with('/')).map(|url| url.split('#').next().unwrap().to_owned()));
        }
        known
    }

    /// Calls every operation of the API's document that reads something, for each of these numbers and names, page by page.
    pub(super) fn reads_everything(&mut self, numbers: std::ops::RangeInclusive<u8>, names: &[&str]) -> usize {
        let document: Value = serde_json::from_str(&self.gets("/api/v1/openapi.json").body).unwrap();
        let mut read = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            let get = &operations["get"];
            if get.is_null() {
                continue;
            }
            let numbered = numbers.clone().map(|number| path.replace("{id}", &number.to_string()));
            let named = names.iter().map(|name| path.replace("{name}", name));
            for path in numbered.chain(named).filter(|path| !path.contains('{')).collect::<BTreeSet<_>>() {
                let is_listing = get["parameters"].as_array().unwrap().iter().any(|parameter| parameter["name"] == "cursor");
                let mut next = Some(String::new());
                while let Some(cursor) = next.take() {
                    let query = if is_listing { format!("?limit=1{cursor}") } else { String::new() };
                    let seen = self.gets(&format!("{path}{query}"));
                    assert!(matches!(seen.status, 200 | 404), "{}: {}", seen.asked, seen.body);
                    read += usize::from(seen.status == 200);
                    let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
                    next = body["next"].as_str().map(|cursor| format!("&cursor={cursor}"));
                }
            }
        }
        read
    }
}

impl Seen {
    /// Every URL that stands in it, and every place in a listing.
    pub(super) fn urls(&self) -> Vec<String> {
        let named = ["location", "content-location", "link", "refresh"];
        let mut urls: Vec<String> = (self.head.lines().filter_map(|line| line.split_once(':')))
            .filter(|(name, _)| named.contains(&name.to_lowercase().as_str()))
            .map(|(_, value)| value.trim().to_owned())
            .collect();
        match serde_json::from_str(&self.body) {
            Ok(body) => urls_of(&body, &mut urls),
            Err(_) => urls.extend(attributes(&self.body).filter(|(name, value)| is_url(name, value)).map(|(_, value)| value)),
        }
        urls
    }
}

/// What a browser might follow, send to, or show as an address.
fn is_url(name: &str, value: &str) -> bool {
    ["href", "action", "src", "formaction", "cite", "poster"].contains(&name)
        || name.starts_with("data-")
        || value.starts_with('/')
        || (value.contains("://") && !value.contains(char::is_whitespace))
}

fn urls_of(value: &Value, urls: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_place = ["next", "cursor", "instance", "type"].contains(&name.as_str());
                urls.extend(value.as_str().filter(|_| is_place).map(str::to_owned));
                urls_of(value, urls);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| urls_of(value, urls)),
        Value::String(text) if text.starts_with('/') || text.starts_with("http") => urls.push(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Names and values of all attributes of a page.
fn attributes(html: &str) -> impl Iterator<Item = (String, String)> {
    html.match_indices("=\"").filter_map(|(at, _)| {
        let name = html[..at].rsplit(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').next()?;
        let value = html[at + 2..].split('"').next()?;
        let value = value.replace("&#38;", "&").replace("&amp;", "&").replace("&#x2F;", "/");
        Some((name.to_lowercase(), value))
    })
}

#[test]
fn urls_are_found_wherever_they_stand() {
    let seen = |head: &str, body: &str| Seen { asked: String::new(), status: 200, head: head.to_owned(), body: body.to_owned() };
    let page = "<a href=\"/a?x=1&#38;y=2\">b</a><input value=\"/c\"><form action=\"d\"><p class=\"e\" data-live=\"f\">";
    assert_eq!(seen("HTTP/1.1 303 See\r\nLocation: /g", page).urls(), ["/g", "/a?x=1&y=2", "/c", "d", "f"]);
    let body = r#"{"next":"17","type":"about:blank","rows":[{"url":"https://x.example/h","text":"no"}]}"#;
    let mut urls = seen("HTTP/1.1 200 OK", body).urls();
    urls.sort_unstable();
    assert_eq!(urls, ["17", "about:blank", "https://x.example/h"]);
}
