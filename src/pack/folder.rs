//! A pack's folder in memory, from the binary itself or from a disk.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use crate::shipped::{Files, Packed};

/// A file larger than this is no part of a pack.
const FILE_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// A folder's own files, and those in its `cases/`, by name.
#[derive(Debug, Clone)]
pub struct Folder {
    name: String,
    place: String,
    files: Files,
    cases: Cases,
}

/// The cases, which are unpacked once somebody asks for them.
#[derive(Debug, Clone)]
struct Cases {
    packed: Option<Packed>,
    files: OnceLock<Files>,
}

impl Folder {
    /// A folder that is compiled into the binary; its cases stay packed until somebody asks for one.
    pub(super) fn packed(packed: &Packed, root: &str) -> Self {
        let cases = Cases { packed: Some(*packed), files: OnceLock::new() };
        Self { name: packed.name.to_owned(), place: format!("{root}/{}", packed.name), files: packed.files(), cases }
    }

    /// A folder of these files, none of them a case, which need not be on any disk yet; `root` is where it would stand.
    pub fn of(name: &str, root: &str, files: &[(&str, &[u8])]) -> Self {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
        Self { name: name.to_owned(), place: format!("{root}/{name}"), files, cases: Cases::of(Files::new()) }
    }

    /// A folder on the disk: its own files and those in `cases/`.
    ///
    /// # Errors
    /// What the disk says, or a file that is too large to be part of a pack.
    pub fn read(path: &Path) -> io::Result<Self> {
        let name = path.canonicalize()?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let cases = path.join("cases");
        let cases = if cases.is_dir() { read_files(&cases)? } else { Files::new() };
        Ok(Self { name, place: path.display().to_string(), files: read_files(path)?, cases: Cases::of(cases) })
    }

    /// The folder's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How a file of the folder is named in messages.
    pub fn label(&self, file: &str) -> String {
        format!("{}/{file}", self.place)
    }

    /// The text of a file of the folder's own; `None` where it is missing or not UTF-8.
    pub fn text(&self, file: &str) -> Option<&str> {
        std::str::from_utf8(self.files.get(file)?).ok()
    }

    /// The files in `cases/`, by name.
    pub fn cases(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let files = self.cases.files.get_or_init(|| self.cases.packed.map(|packed| packed.cases()).unwrap_or_default());
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }
}

/// What a pack does is in its own files: cases only try it.
impl PartialEq for Folder {
    fn eq(&self, other: &Self) -> bool {
        (&self.place, &self.files) == (&other.place, &other.files)
    }
}

impl Cases {
    fn of(files: Files) -> Self {
        Self { packed: None, files: OnceLock::from(files) }
    }
}

fn read_files(path: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let metadata = std::fs::metadata(entry.path())?;
        if !metadata.is_file() {
            continue;
        }
        if metadata.len() > FILE_LIMIT_BYTES {
            let text = format!("{}: is too large to be part of a pack", entry.path().display());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        files.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
    }
    Ok(files)
}
