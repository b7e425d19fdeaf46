//! All templates by name: those in the binary, then those in `template_dirs`, which add to them and override them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::check::check_rules;
use super::{Rule, Template};
use crate::document;
use crate::domain::Faults;
use crate::shipped::{Files, upstreams};

/// The file with the rules that stand behind every template's own.
const GENERAL: &str = "answers.toml";

/// All templates, by name, each with the text of its cases.
#[derive(Debug, Clone)]
pub struct Templates(BTreeMap<String, Known>);

#[derive(Debug, Clone)]
struct Known {
    template: Arc<Template>,
    cases: Option<Cases>,
}

/// The file of a template's cases.
#[derive(Debug, Clone)]
pub(in crate::forward) struct Cases {
    pub(in crate::forward) file: String,
    pub(in crate::forward) text: String,
}

/// The rules that stand behind every template's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct General {
    answers: Vec<Rule>,
}

impl Templates {
    /// The templates in the binary and in these folders. A folder holds `NAME.toml` and `cases/NAME.toml`, and may hold an
    /// `answers.toml` that takes the place of the general rules.
    ///
    /// # Errors
    /// Every fault of every template.
    pub fn load(dirs: &[PathBuf]) -> Result<Self, Faults> {
        let general = general(dirs)?;
        let mut faults = Faults::default();
        let mut templates = Self(BTreeMap::new());
        let (files, cases) = (upstreams().files(), upstreams().cases());
        for name in files.keys().filter(|name| name.ends_with(".toml") && *name != GENERAL) {
            let cases = text(&cases, name).map(|text| Cases { file: format!("upstreams/cases/{name}"), text });
            let text = text(&files, name).unwrap_or_default();
            templates.add(&text, &format!("upstreams/{name}"), Path::new(name), cases, &general, &mut faults);
        }
        for dir in dirs {
            templates.add_folder(dir, &general, &mut faults);
        }
        faults.or(templates)
    }

    fn add_folder(&mut self, dir: &Path, general: &[Rule], faults: &mut Faults) {
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => return faults.add(&dir.display().to_string(), "", format!("cannot be read: {error}")),
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let is_template = |path: &Path| path.extension().is_some_and(|end| end == "toml") && !path.ends_with(GENERAL);
        paths.retain(|path| path.is_file() && is_template(path));
        paths.sort();
        for path in paths {
            let file = path.display().to_string();
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) => {
                    faults.add(&file, "", format!("cannot be read: {error}"));
                    continue;
                }
            };
            let name = path.file_name().map(Path::new).unwrap_or(&path);
            let cases_path = dir.join("cases").join(name);
            let cases = std::fs::read_to_string(&cases_path).ok();
            let cases = cases.map(|text| Cases { file: cases_path.display().to_string(), text });
            self.add(&text, &file, &path, cases, general, faults);
        }
    }

    fn add(&mut self, text: &str, file: &str, path: &Path, cases: Option<Cases>, general: &[Rule], faults: &mut Faults) {
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { return };
        match Template::read(text, file, stem) {
            Ok(mut template) => {
                template.answers.extend_from_slice(general);
                self.0.insert(stem.to_owned(), Known { template: Arc::new(template), cases });
            }
            Err(found) => faults.0.extend(found.0),
        }
    }

    /// The template of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Template>> {
        self.0.get(name).map(|known| &known.template)
    }

    /// The names of all templates.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All templates, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Template>> {
        self.0.values().map(|known| &known.template)
    }

    /// The cases of a template, where it has any.
    pub(in crate::forward) fn cases(&self, name: &str) -> Option<&Cases> {
        self.0.get(name).and_then(|known| known.cases.as_ref())
    }
}

/// A file's text; `None` where it is missing or not UTF-8.
fn text(files: &Files, name: &str) -> Option<String> {
    files.get(name).and_then(|bytes| String::from_utf8(bytes.clone()).ok())
}

/// The general rules: those in the binary, or those of the last folder that has such a file.
fn general(dirs: &[PathBuf]) -> Result<Vec<Rule>, Faults> {
    let path = dirs.iter().rev().map(|dir| dir.join(GENERAL)).find(|path| path.is_file());
    let (file, text) = match path {
        Some(path) => {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(&path).map_err(|error| {
                let mut faults = Faults::default();
                faults.add(&file, "", format!("cannot be read: {error}"));
                faults
            })?;
            (file, text)
        }
        None => {
            let text = text(&upstreams().files(), GENERAL).unwrap_or_default();
            (format!("upstreams/{GENERAL}"), text)
        }
    };
    let general: General = document::read(&text, &file)?;
    let mut faults = Faults::default();
    check_rules(&general.answers, &file, &mut faults);
    for class in ["2xx", "3xx", "4xx", "5xx"] {
        let is_plain = |rule: &Rule| rule.is_plain() && rule.status.iter().any(|status| status == class);
        if !general.answers.iter().any(is_plain) {
            faults.add(&file, "answers", format!("no rule says what {class} means in general"));
        }
    }
    faults.or(general.answers)
}
