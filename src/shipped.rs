//! What is shipped inside the binary, compressed as build.rs packed it. A pack's own files are unpacked when it is loaded, its cases only
//! when somebody asks for one: a running bridge keeps neither the cases of its packs nor anything of the others in memory.

use std::collections::BTreeMap;

/// Files by their name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A folder as it lies in the binary, in blocks that it shares with others.
#[derive(Debug, Clone, Copy)]
pub struct Packed {
    /// The folder's name.
    pub name: &'static str,
    files: &'static [u8],
    cases: &'static [u8],
}

/// The packs, by name.
pub static PACKS: &[Packed] = include!(concat!(env!("OUT_DIR"), "/packs.rs"));
/// The folder of the upstreams' templates, alone.
static TEMPLATES: &[Packed] = include!(concat!(env!("OUT_DIR"), "/upstreams.rs"));

/// The folder of the upstreams' templates.
///
/// # Panics
/// Never: build.rs packs it.
pub fn upstreams() -> Packed {
    *TEMPLATES.first().expect("build.rs packs the templates")
}

impl Packed {
    /// Its own files.
    pub fn files(&self) -> Files {
        unpack(self.files, self.name)
    }

    /// Those in its `cases/`.
    pub fn cases(&self) -> Files {
        unpack(self.cases, self.name)
    }
}

/// The files of a folder in a block that build.rs wrote.
fn unpack(block: &[u8], folder: &str) -> Files {
    let bytes = zstd::decode_all(block).expect("build.rs compressed it");
    let mut rest = &*bytes;
    let mut files = Files::new();
    while !rest.is_empty() {
        let (path, bytes) = (part(&mut rest), part(&mut rest));
        let path = std::str::from_utf8(path).expect("build.rs wrote a name");
        if let Some(name) = path.strip_prefix(folder).and_then(|name| name.strip_prefix('/')) {
            files.insert(name.to_owned(), bytes.to_vec());
        }
    }
    files
}

/// Takes one part off the front: its length as four bytes, the lowest first, and itself.
fn part<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, behind) = rest.split_first_chunk().expect("build.rs wrote a length before each part");
    let length = usize::try_from(u32::from_le_bytes(*length)).expect("an address has at least 32 bits");
    let (part, behind) = behind.split_at_checked(length).expect("build.rs wrote the whole part");
    *rest = behind;
    part
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(folder: &Path) -> Files {
        let entries = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
        let name = |path: &Path| path.file_name().expect("a file has a name").to_str().expect("UTF-8").to_owned();
        entries.filter(|path| path.is_file()).map(|path| (name(&path), std::fs::read(&path).expect("it can be read"))).collect()
    }

    #[test]
    fn what_is_in_the_binary_is_what_stands_in_the_folders() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let count =
            std::fs::read_dir(root.join("providers")).expect("it is there").flatten().filter(|entry| entry.path().is_dir());
        assert!(PACKS.len() > 60 && PACKS.len() == count.count());
        let packs = PACKS.iter().map(|packed| (packed, root.join("providers").join(packed.name)));
        for (packed, folder) in packs.chain([(&upstreams(), root.join("upstreams"))]) {
            assert!(packed.files() == read(&folder), "{}", folder.display());
            assert!(packed.cases() == read(&folder.join("cases")), "{}", folder.display());
        }
    }
}
