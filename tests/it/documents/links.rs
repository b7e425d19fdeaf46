//! Every link leads to a file and a heading that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::{Document, all, root};

#[test]
fn every_link_leads_somewhere() {
    let documents: BTreeMap<PathBuf, Document> = all().into_iter().map(|document| (document.path.clone(), document)).collect();
    let mut count = 0;
    let mut faults = Vec::new();
    for document in documents.values() {
        for (line, link) in links(document) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let place = format!("{}:{line}: {link}", document.path.display());
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { document.path.clone() } else { resolve(&document.path, file) };
            if !root().join(&target).exists() {
                faults.push(format!("{place} leads to no file"));
            } else if let Some(heading) = heading {
                let there = documents.get(&target).map(|target| headings(target, &documents)).unwrap_or_default();
                if !there.contains(heading) {
                    faults.push(format!("{place} leads to no heading"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 300, "only {count} links were found");
}

#[test]
fn what_leads_nowhere_is_found() {
    let text =
        "# A title, `code` & more\n## Twice\n## Twice\n[a](#a-title-code--more) [b](x.md#y \"included\") `[c](d)` ![e](f.png)\n"
            .to_owned();
    let document = Document { path: "docs/x.md".into(), text };
    assert_eq!(links(&document), [(4, "#a-title-code--more"), (4, "x.md#y"), (4, "f.png")]);
    let headings = headings(&document, &BTreeMap::new());
    assert!(["a-title-code--more", "twice", "twice-1"].iter().all(|heading| headings.contains(*heading)), "{headings:?}");
    assert_eq!(resolve(Path::new("docs/providers/a.md"), "../../providers/a/README.md"), Path::new("providers/a/README.md"));
}

/// Each link or picture in its prose, with its line.
fn links(document: &Document) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in document.prose() {
        let mut offset = 0;
        for (index, _) in line.match_indices("](") {
            let is_code = line[..index].matches('`').count() % 2 == 1 && line[index..].contains('`');
            if index < offset || is_code {
                continue;
            }
            let rest = &line[index + 2..];
            let Some(end) = rest.find(')') else { continue };
            offset = index + end;
            let target = rest[..end].split(" \"").next().unwrap();
            links.push((number, target));
        }
    }
    links
}

/// The names by which its headings are linked to, as code hosts and mdBook make them; with those of the files that the book puts in.
fn headings(document: &Document, documents: &BTreeMap<PathBuf, Document>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let lines = document.prose();
    for (_, line) in lines.iter().filter(|(_, line)| line.starts_with('#')) {
        let name: String = line
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
            .map(|character| if character == ' ' { '-' } else { character })
            .collect();
        let again = (1..).map(|count| format!("{name}-{count}"));
        let free = std::iter::once(name.clone()).chain(again).find(|name| !names.contains(name));
        names.extend(free);
    }
    for (_, line) in lines.iter().filter(|(_, line)| line.ends_with(" \"included\")")) {
        let target = line.split("](").nth(1).unwrap().split(' ').next().unwrap();
        let included = documents.get(&resolve(&document.path, target));
        names.extend(included.map(|included| headings(included, documents)).unwrap_or_default());
    }
    names
}

fn resolve(document: &Path, link: &str) -> PathBuf {
    let mut path = document.parent().unwrap().to_path_buf();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}
