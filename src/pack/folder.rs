//! A pack's folder in memory, from the binary itself or from a disk.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use include_dir::Dir;

/// A file larger than this is no part of a pack.
const FILE_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// A folder's files by their path inside it, with `/` between the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    name: String,
    place: String,
    files: BTreeMap<String, Cow<'static, [u8]>>,
}

impl Folder {
    /// A folder that is compiled into the binary.
    pub fn embedded(directory: &Dir<'static>, root: &str) -> Self {
        let name = directory.path().to_string_lossy().into_owned();
        let mut files = BTreeMap::new();
        collect(directory, directory.path(), &mut files);
        Self { place: format!("{root}/{name}"), name, files }
    }

    /// A folder of these files, which need not be on any disk yet; `root` is where it would stand.
    pub fn of(name: &str, root: &str, files: &[(&str, &[u8])]) -> Self {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), Cow::Owned(bytes.to_vec()))).collect();
        Self { name: name.to_owned(), place: format!("{root}/{name}"), files }
    }

    /// A folder on the disk: its own files and those in `cases/`.
    ///
    /// # Errors
    /// What the disk says, or a file that is too large to be part of a pack.
    pub fn read(path: &Path) -> io::Result<Self> {
        let name = path.canonicalize()?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut files = BTreeMap::new();
        read_files(path, "", &mut files)?;
        let cases = path.join("cases");
        if cases.is_dir() {
            read_files(&cases, "cases/", &mut files)?;
        }
        Ok(Self { name, place: path.display().to_string(), files })
    }

    /// The folder's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How a file of the folder is named in messages.
    pub fn label(&self, file: &str) -> String {
        format!("{}/{file}", self.place)
    }

    /// A file's text; `None` where it is missing or not UTF-8.
    pub fn text(&self, file: &str) -> Option<&str> {
        std::str::from_utf8(self.files.get(file)?).ok()
    }

    /// The files in `cases/`, by name.
    pub fn cases(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix("cases/")?, &**bytes)))
    }
}

fn collect(directory: &Dir<'static>, root: &Path, files: &mut BTreeMap<String, Cow<'static, [u8]>>) {
    for file in directory.files() {
        let path = file.path().strip_prefix(root).unwrap_or_else(|_| file.path());
        files.insert(path.to_string_lossy().replace('\\', "/"), Cow::Borrowed(file.contents()));
    }
    for inner in directory.dirs() {
        collect(inner, root, files);
    }
}

fn read_files(path: &Path, prefix: &str, files: &mut BTreeMap<String, Cow<'static, [u8]>>) -> io::Result<()> {
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
        files.insert(format!("{prefix}{}", entry.file_name().to_string_lossy()), Cow::Owned(std::fs::read(entry.path())?));
    }
    Ok(())
}
