//! Packs the shipped packs: the files of each in one compressed block, its cases in another, which a running bridge never opens.
//! What is made depends on nothing but the files, so that the same source gives the same binary.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// As small as can be had without more memory to unpack than a block is long.
const LEVEL: i32 = 19;

type Files = Vec<(String, Vec<u8>)>;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("providers");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    announce(&root);
    let mut table = String::from("&[\n");
    for path in entries(&root)?.into_iter().filter(|path| path.join("pack.toml").is_file()) {
        let name = name_of(&path)?;
        let cases = path.join("cases");
        let cases = if cases.is_dir() { files(&cases)? } else { Files::new() };
        for (kind, files) in [("files", files(&path)?), ("cases", cases)] {
            std::fs::write(out.join(format!("{name}.{kind}")), zstd::encode_all(&*block(&files)?, LEVEL)?)?;
        }
        let block = |kind: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.{kind}\"))");
        writeln!(table, "Packed {{ name: {name:?}, files: {}, cases: {} }},", block("files"), block("cases"))?;
    }
    table.push(']');
    std::fs::write(out.join("packs.rs"), table)?;
    Ok(())
}

/// Tells cargo to come back when a file under `root` changes, comes or goes.
#[allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn announce(root: &Path) {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.display());
    // Half a megabyte less. musl reads such relocations since 1.2.4, glibc only since 2.36, which is too new for some who build it there.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
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
