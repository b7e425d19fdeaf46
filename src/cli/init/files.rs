//! How `init` writes: each file whole or not at all, never over one that is there unless that is wished for, secrets for the owner alone.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::cli::{Answer, Failure};

/// A secret's file is its owner's.
const SECRET_MODE: u32 = 0o600;
/// A configuration may be read by all, as far as the umask lets it.
const CONFIG_MODE: u32 = 0o644;

/// Passes where none of the files is there, or may be written over.
///
/// # Errors
/// Which is there, and what to do.
pub(super) fn free(paths: &[&Path], force: bool) -> Answer {
    match paths.iter().find(|path| !force && path.symlink_metadata().is_ok()) {
        Some(path) => {
            let advice =
                "nothing was written; --dir DIR names another folder, --force writes over both files and keeps the old secrets";
            Err(Failure::Usage(format!("{}: is there already; {advice}", path.display())))
        }
        None => Ok(()),
    }
}

/// Makes the folder, if it is not there.
pub(super) fn folder(path: &Path) -> Answer {
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::Usage(format!("{}: cannot be made: {error}; nothing was written", path.display())))
}

/// Writes both files: the secrets first, because a configuration without them is of no use.
///
/// # Errors
/// What cannot be written. Without `force` nothing is left behind then.
pub(super) fn write(config: &Path, text: &str, environment: &Path, variables: &str, force: bool) -> Answer {
    // A mode that was narrower stays as narrow.
    let mode = environment.metadata().map_or(SECRET_MODE, |old| old.permissions().mode() & SECRET_MODE);
    put(environment, variables, mode, force)?;
    put(config, text, CONFIG_MODE, force).inspect_err(|_| {
        if !force {
            drop(std::fs::remove_file(environment));
        }
    })
}

/// The file is made under another name with its mode, written to the disk, and only then given its name.
fn put(path: &Path, text: &str, mode: u32, force: bool) -> Answer {
    let fault = |error: std::io::Error| Failure::Usage(format!("{}: cannot be written: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file: NamedTempFile = Builder::new()
        .prefix(".salebridge-init-")
        .permissions(Permissions::from_mode(mode | 0o200))
        .tempfile_in(folder)
        .map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)?;
    if mode & 0o200 == 0 {
        file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(fault)?;
    }
    file.as_file().sync_all().map_err(fault)?;
    let named = if force { file.persist(path) } else { file.persist_noclobber(path) };
    named.map_err(|error| fault(error.error))?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("the file").permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_the_owners_alone_and_nothing_is_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, environment) = (folder.path().join("c"), folder.path().join("e"));
        write(&config, "one", &environment, "A=1", false).expect("both are new");
        assert_eq!((mode(&environment), mode(&config) & 0o022), (0o600, 0));
        assert!(free(&[&config], false).is_err() && free(&[&config], true).is_ok());
        assert!(write(&config, "two", &environment, "A=2", false).is_err());
        assert_eq!(std::fs::read_to_string(&environment).expect("the file"), "A=1");
        std::fs::set_permissions(&environment, Permissions::from_mode(0o644)).expect("ours");
        write(&config, "two", &environment, "A=2", true).expect("forced");
        assert_eq!((mode(&environment), std::fs::read_to_string(&config).expect("the file").as_str()), (0o600, "two"));
        std::fs::set_permissions(&environment, Permissions::from_mode(0o400)).expect("ours");
        write(&config, "three", &environment, "A=3", true).expect("forced");
        assert_eq!(mode(&environment), 0o400, "it is not widened");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left behind");
    }

    #[test]
    fn a_configuration_that_appears_meanwhile_stays_and_no_secret_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, environment) = (folder.path().join("c"), folder.path().join("e"));
        std::fs::write(&config, "theirs").expect("a file");
        assert!(write(&config, "ours", &environment, "A=1", false).is_err());
        assert_eq!(std::fs::read_to_string(&config).expect("the file"), "theirs");
        assert!(!environment.exists());
    }
}
