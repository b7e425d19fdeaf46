//! What the documents say is what the program takes: commands, configurations, links, and the pages that it writes itself.

mod commands;
mod configurations;
mod generated;
mod links;
mod operations;

use std::path::{Path, PathBuf};

/// A document: where it is in the repository, and what it says.
struct Document {
    path: PathBuf,
    text: String,
}

/// A block between two fences.
struct Block {
    /// The word behind the first fence.
    language: String,
    /// The line of the first fence.
    line: usize,
    text: String,
}

impl Document {
    fn read(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text = read(path.to_str().unwrap());
        Self { path, text }
    }

    /// Its blocks of code.
    fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_inside = false;
        for (index, line) in self.text.lines().enumerate() {
            match line.trim_start().strip_prefix("```") {
                Some(_) if is_inside => is_inside = false,
                Some(language) => {
                    is_inside = true;
                    blocks.push(Block { language: language.trim().to_owned(), line: index + 1, text: String::new() });
                }
                None if is_inside => {
                    let block = blocks.last_mut().unwrap();
                    block.text += line;
                    block.text.push('\n');
                }
                None => {}
            }
        }
        assert!(!is_inside, "{}: a fence is never closed", self.path.display());
        blocks
    }

    /// Its lines outside of blocks, each with its number.
    fn prose(&self) -> Vec<(usize, &str)> {
        let mut is_inside = false;
        let mut lines = Vec::new();
        for (index, line) in self.text.lines().enumerate() {
            let is_fence = line.trim_start().starts_with("```");
            if is_fence {
                is_inside = !is_inside;
            } else if !is_inside {
                lines.push((index + 1, line));
            }
        }
        lines
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every document below a folder of the repository, by name.
fn below(folder: &str) -> Vec<Document> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true if entry.file_name() != "cases" => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => found.push(Document::read(path)),
                _ => {}
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Every document that people read.
fn all() -> Vec<Document> {
    let mut documents: Vec<Document> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "STYLE.md"].into_iter().map(Document::read).collect();
    for folder in ["docs", "providers", "upstreams", "packaging"] {
        documents.extend(below(folder));
    }
    assert!(documents.len() > 140, "the documents were not found");
    documents
}

#[test]
fn every_pack_has_a_short_readme() {
    for document in below("providers").iter().filter(|document| document.path.components().count() == 3) {
        let text = &document.text;
        assert!(text.lines().count() <= 40, "{}: more than 40 lines", document.path.display());
        assert!(text.contains("customerExternalId") && text.contains("clickId"), "{}", document.path.display());
    }
}

#[test]
fn every_page_is_in_the_book() {
    let summary = read("docs/SUMMARY.md");
    for document in below("docs").iter().filter(|document| document.path.file_name().unwrap() != "SUMMARY.md") {
        let path = document.path.strip_prefix("docs").unwrap().to_str().unwrap();
        let count = summary.matches(&format!("]({path})")).count();
        assert_eq!(count, 1, "docs/SUMMARY.md must lead to {path} once");
        assert!(document.text.starts_with("# "), "docs/{path} begins with its title");
    }
}
