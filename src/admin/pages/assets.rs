//! Style, script and icon: in the binary, named by their content, so that browsers may keep them for ever.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest as _, Sha256};

use super::visitor::{Answer, Fault};

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style.css", "text/css; charset=utf-8", include_str!("static/style.css")));
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("live.js", "text/javascript; charset=utf-8", include_str!("static/live.js")));
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon.svg", "image/svg+xml", include_str!("static/icon.svg")));

/// A file that pages refer to.
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    hash: String,
    url: String,
}

impl Asset {
    fn new(name: &'static str, kind: &'static str, text: &'static str) -> Self {
        let hash = hex::encode(&Sha256::digest(text)[..8]);
        Self { name, kind, text, url: format!("/static/{hash}/{name}"), hash }
    }

    /// Where it is, by its content.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// `GET /static/{hash}/{name}`: whoever asks by an old hash gets what there is, but may not keep it.
pub(super) async fn asset(request: HttpRequest, path: Path<(String, String)>) -> Answer {
    let (hash, name) = path.into_inner();
    let all: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    let found = all.into_iter().find(|asset| asset.name == name);
    let asset = found.ok_or_else(|| Fault::NotFound("There is no such file.".to_owned()))?;
    let caching = if asset.hash == hash { "public, max-age=31536000, immutable" } else { "no-cache" };
    let tag = format!("\"{}\"", asset.hash);
    let known = request.headers().get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let mut answer = if known == Some(&*tag) { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((ETAG, tag.clone())).insert_header((CACHE_CONTROL, caching));
    Ok(if known == Some(&*tag) { answer.finish() } else { answer.content_type(asset.kind).body(asset.text) })
}
