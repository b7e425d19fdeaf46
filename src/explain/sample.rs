//! A shipped case, signed with a source's own secret and judged: shows that the secret and the pack fit, and stores nothing.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Verdict, request as explain};
use crate::domain::Timestamp;
use crate::pack::{Case, Source};

/// A case that was tried, and what came of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Sampled {
    /// The case's name.
    pub case: String,
    /// What would come of such a request.
    pub verdict: Verdict,
}

/// The names of the cases of a source's pack; those of which a sale comes first.
pub fn case_names(source: &Source) -> Vec<&str> {
    let folder = &source.pack.folder;
    let sales: BTreeSet<&str> = folder.cases().filter_map(|(file, _)| file.strip_suffix(".sale.json")).collect();
    let mut names: Vec<&str> = folder.cases().filter_map(|(file, _)| file.strip_suffix(".http")).collect();
    names.sort_by_key(|name| (!sales.contains(name), *name));
    names
}

/// Signs a case of the source's pack as of `now` and judges it. Without a name: the first of which a sale comes.
///
/// # Errors
/// There is no such case, or it cannot be signed: the provider signs with a key that nobody else has.
pub fn sample(source: &Source, name: Option<&str>, now: Timestamp) -> Result<Sampled, String> {
    let names = case_names(source);
    let name = match name {
        Some(name) => {
            names.into_iter().find(|known| *known == name).ok_or_else(|| format!("{} has no such case", source.pack.name()))?
        }
        None => names.first().copied().ok_or_else(|| format!("{} has no case", source.pack.name()))?,
    };
    let file = format!("{name}.http");
    let bytes = source.pack.folder.cases().find(|(known, _)| *known == file).map(|(_, bytes)| bytes).unwrap_or_default();
    let case = Case::parse(bytes).map_err(|error| error.to_string())?;
    let mut request = case.request(&source.name, now);
    request.received_at = now;
    request.url.clone_from(&source.url);
    request.path_token.clone_from(&source.path_token);
    source.pack.scheme.sign(&source.keys, &mut request).map_err(|error| error.to_string())?;
    Ok(Sampled { case: name.to_owned(), verdict: explain(source, &request, None) })
}
