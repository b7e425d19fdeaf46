//! Packs what is shipped inside the binary: the files of each pack in one compressed block, its cases in another, which a running bridge
//! never opens; the same for the upstreams' templates.
//! What is made depends on nothing but the files, so that the same source gives the same binary.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// As small as can be had without more memory to unpack than a block is long.
const LEVEL: i32 = 19;

type Files = Vec<(String, Vec<u8>)>;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    announce(&root);
    let mut table = String::from("&[\n");
    for path in entries(&root.join("providers"))?.into_iter().filter(|path| path.join("pack.toml").is_file()) {
        writeln!(table, "{},", pack(&path, &out)?)?;
    }
    table.push(']');
    std::fs::write(out.join("packs.rs"), table)?;
    std::fs::write(out.join("upstreams.rs"), pack(&root.join("upstreams"), &out)?)?;
    Ok(())
}

/// Writes a folder's blocks, and answers with what the program includes of them.
fn pack(folder: &Path, out: &Path) -> Result<String, Box<dyn Error>> {
    let (name, cases) = (name_of(folder)?, folder.join("cases"));
    let cases = if cases.is_dir() { files(&cases)? } else { Files::new() };
    for (kind, files) in [("files", files(folder)?), ("cases", cases)] {
        std::fs::write(out.join(format!("{name}.{kind}")), zstd::encode_all(&*block(&files)?, LEVEL)?)?;
    }
    let block = |kind: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.{kind}\"))");
    Ok(format!("Packed {{ name: {name:?}, files: {}, cases: {} }}", block("files"), block("cases")))
}

/// Tells cargo to come back when a file that is packed changes, comes or goes, and how to link.
#[allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn announce(root: &Path) {
    println!("cargo::rerun-if-changed=build.rs");
    for folder in ["providers", "upstreams"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
    }
    // Half a megabyte less.
    if reads_packed_relocations() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// musl, as Rust brings it, reads packed relocations; glibc does since 2.36, and what is built with one glibc needs no older one. Only where
/// this machine's own linker is used: that of a cross compiler may not know the word.
fn reads_packed_relocations() -> bool {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let host = std::env::var("HOST").unwrap_or_default();
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ARCH", host.split('-').next().unwrap_or_default()) {
        return false;
    }
    let glibc = || {
        let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        let (major, minor) = version.trim().strip_prefix("glibc ")?.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    is("CARGO_CFG_TARGET_ENV", "musl") || (is("TARGET", &host) && glibc().is_some_and(|version| version >= (2, 36)))
}

/// Each file: the length of its name, its name, its own length, itself; lengths as four bytes, the lowest first.
fn block(files: &Files) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut block = Vec::new();
    for (name, bytes) in files {
        for part in [name.as_bytes(), bytes] {
            block.extend(u32::try_from(part.len())?.to_le_bytes());
            block.extend(part);
        }
    }
    Ok(block)
}

fn files(folder: &Path) -> Result<Files, Box<dyn Error>> {
    let paths = entries(folder)?.into_iter().filter(|path| path.is_file());
    paths.map(|path| Ok((name_of(&path)?, std::fs::read(&path)?))).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> Result<String, Box<dyn Error>> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.ok_or_else(|| format!("{}: a name that is not UTF-8", path.display()))?.to_owned())
}
