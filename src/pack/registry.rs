//! All packs by name: those in the binary, then those in `pack_dirs`, which add to them and override them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Folder, Pack};
use crate::domain::Faults;
use crate::shipped::PACKS;

/// Every pack that a source can name.
#[derive(Debug, Clone, Default)]
pub struct Registry(BTreeMap<String, Arc<Pack>>);

impl Registry {
    /// The packs in the binary and in these folders, each of which holds folders of packs.
    ///
    /// # Errors
    /// Every fault of every pack.
    pub fn load(pack_dirs: &[PathBuf]) -> Result<Self, Faults> {
        Self::load_some(|_| true, pack_dirs)
    }

    /// As [`Registry::load`], but of those in the binary only the named ones: a running bridge needs no others.
    ///
    /// # Errors
    /// Every fault of every pack.
    pub fn load_named(names: &[&str], pack_dirs: &[PathBuf]) -> Result<Self, Faults> {
        Self::load_some(|name| names.contains(&name), pack_dirs)
    }

    fn load_some(is_wanted: impl Fn(&str) -> bool, pack_dirs: &[PathBuf]) -> Result<Self, Faults> {
        let wanted = PACKS.iter().filter(|packed| is_wanted(packed.name));
        let mut folders: Vec<Folder> = wanted.map(|packed| Folder::packed(packed, "providers")).collect();
        let mut faults = Faults::default();
        for path in pack_dirs {
            match folders_in(path) {
                Ok(found) => folders.extend(found),
                Err(cause) => faults.add(&path.display().to_string(), "", cause),
            }
        }
        let mut packs = BTreeMap::new();
        for folder in folders {
            match Pack::load(folder) {
                Ok(pack) => drop(packs.insert(pack.name().to_owned(), Arc::new(pack))),
                Err(found) => faults.0.extend(found.0),
            }
        }
        faults.or(Self(packs))
    }

    /// The pack of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Pack>> {
        self.0.get(name)
    }

    /// All packs, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.0.values()
    }
}

/// The packs of `path`, which is one pack's folder or a folder of packs.
///
/// # Errors
/// A sentence that names what cannot be read.
pub(super) fn folders_in(path: &Path) -> Result<Vec<Folder>, String> {
    let read = |path: &Path| Folder::read(path).map_err(|error| format!("cannot be read: {error}"));
    if path.join("pack.toml").is_file() {
        return Ok(vec![read(path)?]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.join("pack.toml").is_file());
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

impl Folder {
    /// The folders of packs at `path`, which is one pack's folder or a folder of packs.
    ///
    /// # Errors
    /// A sentence that names what cannot be read.
    pub fn all_in(path: &Path) -> Result<Vec<Self>, String> {
        folders_in(path)
    }
}
