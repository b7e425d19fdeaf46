//! Packs what is shipped inside the binary: the files of all packs in one compressed block, their cases in some others, which a running
//! bridge never opens; the same for the upstreams' templates. Packs are alike, so that they are smaller together than each by itself.
//! What is made depends on nothing but the files, so that the same source gives the same binary.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// As small as can be had without more memory to unpack than a block is long.
const LEVEL: i32 = 19;
/// The cases of so many packs share a block: some megabytes, which are unpacked for any of them.
const PACKS_A_BLOCK: usize = 16;

type Files = Vec<(String, Vec<u8>)>;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    announce(&root);
    let mut packs = entries(&root.join("providers"))?;
    packs.retain(|path| path.join("pack.toml").is_file());
    std::fs::write(out.join("packs.rs"), pack(&packs, "packs", &out)?)?;
    std::fs::write(out.join("upstreams.rs"), pack(&[root.join("upstreams")], "upstreams", &out)?)?;
    Ok(())
}

/// Writes the blocks of these folders, and answers with the table that the program includes of them.
fn pack(folders: &[PathBuf], name: &str, out: &Path) -> Result<String, Box<dyn Error>> {
    write_block(&out.join(format!("{name}.files")), folders, Path::new(""))?;
    let mut statics = format!("static FILES: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.files\"));\n");
    let mut table = String::new();
    for (number, folders) in folders.chunks(PACKS_A_BLOCK).enumerate() {
        write_block(&out.join(format!("{name}-{number}.cases")), folders, Path::new("cases"))?;
        let path = format!("concat!(env!(\"OUT_DIR\"), \"/{name}-{number}.cases\")");
        writeln!(statics, "static CASES_{number}: &[u8] = include_bytes!({path});")?;
        for folder in folders {
            writeln!(table, "Packed {{ name: {:?}, files: FILES, cases: CASES_{number} }},", name_of(folder)?)?;
        }
    }
    Ok(format!("{{ {statics} &[\n{table}] }}"))
}

/// Writes the files in the folder `part` of each of these folders as one block.
fn write_block(path: &Path, folders: &[PathBuf], part: &Path) -> Result<(), Box<dyn Error>> {
    let mut all = Files::new();
    for folder in folders {
        let (name, part) = (name_of(folder)?, folder.join(part));
        let files = if part.is_dir() { files(&part)? } else { Files::new() };
        all.extend(files.into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
    }
    Ok(std::fs::write(path, zstd::encode_all(&*block(&all)?, LEVEL)?)?)
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
    // Functions that came out the same from different types stand once: some hundred kilobytes less.
    if let Some(folder) = folding_linker() {
        for argument in [format!("-B{}", folder.display()), "-fuse-ld=lld".to_owned(), "-Wl,--icf=all".to_owned()] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Where Rust keeps its own linker, which can fold functions, for what is released on this machine for machines like it.
fn folding_linker() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (host, target) = (variable("HOST"), variable("TARGET"));
    let is_like_it = host.split('-').next() == target.split('-').next() && target.contains("-linux-");
    if variable("PROFILE") != "release" || !is_like_it {
        return None;
    }
    let output = Command::new(variable("RUSTC")).args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    Some(sysroot.join("lib/rustlib").join(host).join("bin/gcc-ld")).filter(|folder| folder.join("ld.lld").exists())
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
