//! The packs inside the binary, compressed as build.rs packed them. A pack's own files are unpacked when it is loaded, its cases only
//! when somebody asks for one: a running bridge keeps neither the cases of its packs nor anything of the others in memory.

use super::folder::{Files, Folder};

/// One pack as it lies in the binary.
pub(super) struct Packed {
    /// The pack's name, which is its folder's.
    pub(super) name: &'static str,
    files: &'static [u8],
    cases: &'static [u8],
}

/// All of them, by name.
pub(super) static SHIPPED: &[Packed] = include!(concat!(env!("OUT_DIR"), "/packs.rs"));

impl Packed {
    /// The pack's folder.
    pub(super) fn folder(&self) -> Folder {
        Folder::packed(self.name, "providers", unpack(self.files), self.cases)
    }
}

/// The files of a block that build.rs wrote.
pub(super) fn unpack(block: &[u8]) -> Files {
    let bytes = zstd::decode_all(block).expect("build.rs compressed it");
    let mut rest = &*bytes;
    let mut files = Files::new();
    while !rest.is_empty() {
        let name = String::from_utf8(part(&mut rest).to_vec()).expect("build.rs wrote a name");
        files.insert(name, part(&mut rest).to_vec());
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
    use super::*;

    #[test]
    fn what_is_in_the_binary_is_what_stands_in_the_folder() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("providers");
        let there = Folder::all_in(&root).expect("the folder can be read");
        assert!(there.len() > 60 && there.len() == SHIPPED.len());
        for (packed, read) in SHIPPED.iter().zip(&there) {
            let folder = packed.folder();
            assert_eq!(folder.name(), read.name());
            assert!(folder.text("pack.toml") == read.text("pack.toml") && folder.text("README.md") == read.text("README.md"));
            assert!(folder.cases().eq(read.cases()) && read.cases().count() > 5, "{}", read.name());
        }
    }
}
