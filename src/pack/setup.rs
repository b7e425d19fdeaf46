//! What a newcomer is told and asked by `salebridge init`: `[setup]` of a pack, and the two parts of its README that say where to click
//! and how a checkout says who buys. The facts stand there once, and are shown from there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Api, Credentials, Folder};
use crate::domain::Faults;
use crate::verify::Scheme;

/// What the README writes for the host that webhooks are sent to.
const HOST: &str = "https://YOUR-HOST/webhooks/";
/// What the READMEs write for the token at the end of a URL.
const TOKENS: [&str; 3] = ["/LONG-RANDOM-TEXT", "/TOKEN", "/${token}"];

/// What a source of this pack is to be given, in the provider's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// What the provider calls the source's secret, where it stands, and what it looks like.
    pub secret: Option<String>,
    /// The same for each named secret.
    #[serde(default)]
    pub named_secrets: BTreeMap<String, String>,
    /// True where a source had better have a path token, though the requests show a secret: it would stand in their bodies.
    #[serde(default)]
    pub path_token: bool,
    /// True where the provider's own id of the customer is the only one that arrives.
    #[serde(default)]
    pub customer_from_reference: bool,
    /// Further names of the metadata entry with the click, where the provider leaves no room for the usual ones.
    #[serde(default)]
    pub click_id: Vec<String>,
    /// Further names of the metadata entry with the team's own customer id.
    #[serde(default)]
    pub customer_external_id: Vec<String>,
}

/// A secret that a source may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedSecret {
    /// The named secret; `None` for the source's own `secrets`.
    pub name: Option<String>,
    /// What it is, for people.
    pub about: String,
    /// False where a source can do without.
    pub is_required: bool,
    /// True where it only opens the provider's API.
    pub is_for_api: bool,
}

/// The parts of a pack's README that a newcomer follows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Guide {
    /// Where to click, step by step.
    pub switch_on: Vec<Block>,
    /// How `clickId` and `customerExternalId` get into a checkout.
    pub who_buys: Vec<Block>,
}

/// A piece of a guide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A numbered step.
    Step(String),
    /// A sentence or several.
    Text(String),
    /// A program or a command, line by line as it is.
    Code(String),
}

impl Setup {
    /// Checks that each secret of a source, and nothing else, is named.
    pub(super) fn check(&self, scheme: &Scheme, api: Option<&Api>, file: &str, faults: &mut Faults) {
        if self.secret.is_some() != scheme.uses_unnamed_secrets() {
            let cause =
                if self.secret.is_some() { "is not used by [verify]" } else { "is missing: say what the provider calls it" };
            faults.add(file, "setup.secret", cause);
        }
        let mut known = scheme.named_secrets();
        known.extend(api.iter().flat_map(|api| api.secrets()).map(str::to_owned));
        for name in self.named_secrets.keys().filter(|name| !known.contains(*name)) {
            faults.add(file, format!("setup.named_secrets.{name}"), "is used neither by [verify] nor by [api]");
        }
        for name in known.iter().filter(|name| !self.named_secrets.contains_key(*name)) {
            faults.add(file, format!("setup.named_secrets.{name}"), "is missing: say what the provider calls it");
        }
    }
}

/// The secrets that a source may be given, those that it cannot do without first.
pub(super) fn wanted(setup: Option<&Setup>, scheme: &Scheme, api: Option<&Api>) -> Vec<WantedSecret> {
    let named =
        |name: &str| setup.and_then(|setup| setup.named_secrets.get(name)).cloned().unwrap_or_else(|| name.replace('_', " "));
    let needed = scheme.first_needs();
    let mut wanted = Vec::new();
    if scheme.uses_unnamed_secrets() {
        let about = setup.and_then(|setup| setup.secret.clone()).unwrap_or_else(|| "secret of the webhook".to_owned());
        let is_required = needed.contains("secrets");
        wanted.push(WantedSecret { name: None, about, is_required, is_for_api: false });
    }
    for name in scheme.named_secrets() {
        let (about, is_required) = (named(&name), needed.contains(&name));
        wanted.push(WantedSecret { name: Some(name), about, is_required, is_for_api: false });
    }
    if let Some(api) = api {
        let is_required = api.credentials == Credentials::Required;
        for name in api.secrets() {
            if wanted.iter().any(|other| other.name.as_deref() == Some(name)) {
                continue;
            }
            wanted.push(WantedSecret { name: Some(name.to_owned()), about: named(name), is_required, is_for_api: true });
        }
    }
    wanted.sort_by_key(|wanted| !wanted.is_required);
    wanted
}

impl Guide {
    /// Reads the README of a pack's folder. `url` is what the provider is given: it stands where the README names a host of the reader's.
    pub(super) fn read(folder: &Folder, url: &str) -> Self {
        let readme = folder.text("README.md").unwrap_or_default();
        let general = format!("{HOST}{}", folder.name());
        let mut text = readme.replace("\r\n", "\n");
        for token in TOKENS {
            text = text.replace(&format!("{general}{token}"), url);
        }
        text = text.replace(&general, url);
        // Where a source is called otherwise than its pack.
        let mut parts = text.split(HOST);
        let mut told = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            told.push_str(url);
            told.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-'));
        }
        Self { switch_on: blocks(section(&told, "## Switch on")), who_buys: blocks(section(&told, "## Say who buys")) }
    }
}

fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let begin = text.find(&format!("{heading}\n")).map(|at| at + heading.len() + 1);
    let rest = begin.and_then(|begin| text.get(begin..)).unwrap_or_default();
    rest.split("\n## ").next().unwrap_or_default()
}

/// Pieces without their marks. A piece of configuration is left out: `init` has written it.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = text.lines();
    let mut is_new = true;
    while let Some(line) = lines.next() {
        let bare = line.trim();
        if let Some(language) = bare.strip_prefix("```") {
            let code: Vec<&str> = lines.by_ref().take_while(|line| !line.trim().starts_with("```")).collect();
            if language != "toml" {
                blocks.push(Block::Code(code.join("\n")));
            }
            is_new = true;
        } else if bare.is_empty() {
            is_new = true;
        } else if let Some(step) = numbered(line) {
            blocks.push(Block::Step(plain(step)));
            is_new = false;
        } else if let Some(point) = line.strip_prefix("- ") {
            blocks.push(Block::Text(plain(point)));
            is_new = false;
        } else {
            match blocks.last_mut() {
                Some(Block::Step(text) | Block::Text(text)) if !is_new => {
                    text.push(' ');
                    text.push_str(&plain(bare));
                }
                Some(Block::Step(_) | Block::Text(_) | Block::Code(_)) | None => blocks.push(Block::Text(plain(bare))),
            }
            is_new = false;
        }
    }
    blocks
}

fn numbered(line: &str) -> Option<&str> {
    let (number, rest) = line.split_once(". ")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(rest)
}

/// A line without the marks of Markdown. What stands between backticks stays as it is; of a link its words and its address stay.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['`', '*', '[']) {
        text.push_str(&rest[..at]);
        let from = &rest[at..];
        let marks = from.len() - from.trim_start_matches('`').len();
        let ticks = &from[..marks];
        let code = (marks > 0).then(|| from[marks..].split_once(ticks)).flatten();
        let link =
            from.strip_prefix('[').and_then(|inside| inside.split_once("](")).filter(|(words, _)| !words.contains(['[', ']']));
        let link = link.and_then(|(words, rest)| Some((words, rest.split_once(')')?)));
        if let Some((code, after)) = code {
            text.push_str(code);
            rest = after;
        } else if let Some((words, (address, after))) = link {
            text.push_str(&format!("{} ({address})", plain(words)));
            rest = after;
        } else if let Some(after) = from.strip_prefix('*') {
            rest = after;
        } else {
            let length = from.chars().next().map_or(0, char::len_utf8);
            text.push_str(&from[..length]);
            rest = &from[length..];
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readme_is_read_as_steps_texts_and_code() {
        let readme = "# X\n\n## Switch on\n1. Go to **Webhooks** → *Add*: `https://YOUR-HOST/webhooks/x/LONG-RANDOM-TEXT`,\n   then [here](https://e.com/a).\n\
                      2. Copy `a*b`.\n```toml\nsecrets = []\n```\nThen ``a `b` ``.\n\n## Say who buys\n```js\nbuy({ url: \"https://YOUR-HOST/webhooks/x\" });\n  more();\n```\n\n## Quirks\n- none\n";
        let folder = Folder::of("x", "providers", &[("README.md", readme.as_bytes())]);
        let guide = Guide::read(&folder, "https://h.example/webhooks/x/{path_token}");
        let step = |text: &str| Block::Step(text.to_owned());
        assert_eq!(
            guide.switch_on,
            [
                step("Go to Webhooks → Add: https://h.example/webhooks/x/{path_token}, then here (https://e.com/a)."),
                step("Copy a*b."),
                Block::Text("Then a `b` .".to_owned()),
            ]
        );
        let code = "buy({ url: \"https://h.example/webhooks/x/{path_token}\" });\n  more();";
        assert_eq!(guide.who_buys, [Block::Code(code.to_owned())]);
    }
}
