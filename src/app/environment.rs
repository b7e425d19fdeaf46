//! Where `${NAME}` of a configuration is looked up: in the environment file, where there is one, then in the environment of the process.
//! The file is read anew whenever a configuration is loaded, so a changed secret counts from then on. It is in the part of systemd's
//! `EnvironmentFile=` format that is read alike by systemd and by us; what systemd would read in another way is refused.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::domain::{Faults, Secret};

/// A longer file is no list of secrets.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// The environment file of this process. Like the environment itself it belongs to the process and not to one configuration.
static FILE: OnceLock<PathBuf> = OnceLock::new();

/// What `${NAME}` may stand for.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, Secret>,
}

/// Names the environment file of this process; the first call counts.
pub fn use_environment_file(path: &Path) {
    // An error says that one was named before.
    drop(FILE.set(path.to_path_buf()));
}

/// What an operator should know of the environment file's permissions: who else may read it. `None` where nobody else may, or there is none.
pub fn environment_warning() -> Option<String> {
    let path = FILE.get()?;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let file = path.display();
        format!("{file}: others on this machine may read or change the secrets in it (its mode is {mode:o}): chmod 600 {file}")
    })
}

impl Environment {
    /// The environment file that was named for this process, if any, with the process's own environment behind it.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn of_process() -> Result<Self, Faults> {
        FILE.get().map_or_else(|| Ok(Self::default()), |path| Self::read(path))
    }

    /// Reads an environment file.
    ///
    /// # Errors
    /// It cannot be read, is no list of variables, or is too long.
    pub fn read(path: &Path) -> Result<Self, Faults> {
        let file = path.display().to_string();
        let unreadable = |cause: &str| {
            let mut faults = Faults::default();
            faults.add(&file, "", format!("{cause}; it is named by --env-file or SALEBRIDGE_ENV_FILE"));
            faults
        };
        let mut text = String::new();
        let opened = std::fs::File::open(path).map_err(|error| unreadable(&format!("cannot be read: {error}")))?;
        let read = opened.take(FILE_LIMIT_BYTES + 1).read_to_string(&mut text);
        let length = read.map_err(|error| unreadable(&format!("cannot be read: {error}")))?;
        if u64::try_from(length).unwrap_or(u64::MAX) > FILE_LIMIT_BYTES {
            return Err(unreadable("is longer than a megabyte, so it is no environment file"));
        }
        Self::parse(&text, &file)
    }

    /// Reads the text of an environment file; `file` names it in faults, which never repeat a value.
    ///
    /// # Errors
    /// Every line that is not of the format.
    pub fn parse(text: &str, file: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut values = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let place = format!("line {}", index + 1);
            match assignment(line) {
                Ok((name, _)) if values.contains_key(name) => {
                    faults.add(file, place, format!("{name} is there a second time: one of the two would be lost"));
                }
                Ok((name, value)) => drop(values.insert(name.to_owned(), Secret::new(value))),
                Err(cause) => faults.add(file, place, cause),
            }
        }
        faults.or(Self { values })
    }

    /// What the file itself holds, by name; empty values are none.
    pub fn of_file(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.values.iter().filter(|(_, value)| !value.expose().is_empty()).map(|(name, value)| (name.as_str(), value))
    }

    /// What a name stands for: in the file, else in the process's environment; an empty value is none. The file comes first, as
    /// systemd's `EnvironmentFile=` does.
    pub fn get(&self, name: &str) -> Option<Secret> {
        let in_file = self.values.get(name).filter(|value| !value.expose().is_empty()).cloned();
        in_file.or_else(|| std::env::var(name).ok().filter(|value| !value.is_empty()).map(Secret::new))
    }
}

/// A line that is read back as this value, by us, by systemd and (but for the quotes) by Docker.
///
/// # Errors
/// The value holds a line break or another control character, which no line can.
pub fn environment_line(name: &str, value: &Secret) -> Result<String, &'static str> {
    let text = value.expose();
    if text.chars().any(char::is_control) {
        return Err("holds a line break or another control character");
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:+=@%,".contains(&byte);
    if text.bytes().all(is_plain) {
        Ok(format!("{name}={text}"))
    } else if !text.contains('\'') {
        Ok(format!("{name}='{text}'"))
    } else {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('`', "\\`").replace('$', "\\$");
        Ok(format!("{name}=\"{escaped}\""))
    }
}

/// Whether a text can be the name of a variable.
fn is_name(text: &str) -> bool {
    let is_start = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    is_start && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn assignment(line: &str) -> Result<(&str, String), &'static str> {
    let (name, value) = line.split_once('=').ok_or("is neither NAME=value nor a comment")?;
    if name.starts_with("export ") {
        return Err("begins with export, which systemd does not take: write NAME=value");
    }
    if !is_name(name) {
        return Err("has no name of letters, digits and underscores, without a space, before its =");
    }
    let value = value.trim();
    let value = match value.as_bytes().first() {
        Some(b'\'') => single_quoted(&value[1..])?,
        Some(b'"') => double_quoted(&value[1..])?,
        Some(_) | None => bare(value)?,
    };
    if value.chars().any(char::is_control) {
        return Err("holds a control character");
    }
    Ok((name, value))
}

const UNCLOSED: &str =
    "opens a quote that is not closed on its line: write a key in PEM as its base64 on one line, or read it with file:PATH";
const BEHIND: &str = "goes on behind its closing quote";

fn single_quoted(rest: &str) -> Result<String, &'static str> {
    let (value, after) = rest.split_once('\'').ok_or(UNCLOSED)?;
    if after.is_empty() { Ok(value.to_owned()) } else { Err(BEHIND) }
}

/// A backslash takes the meaning of the four characters that have one in a shell's double quotes; before any other it is itself.
fn double_quoted(rest: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.as_str().is_empty() => return Ok(value),
            '"' => return Err(BEHIND),
            '\\' => match characters.next() {
                Some(next @ ('"' | '\\' | '`' | '$')) => value.push(next),
                Some(next) => value.extend(['\\', next]),
                None => return Err(UNCLOSED),
            },
            other => value.push(other),
        }
    }
    Err(UNCLOSED)
}

fn bare(value: &str) -> Result<String, &'static str> {
    if value.contains('\\') {
        return Err("holds a backslash, which systemd takes away: put the value into single quotes");
    }
    if value.contains(" #") || value.contains("\t#") {
        return Err(
            "has a # behind a space, which would be part of the value: put remarks on lines of their own, or the value into quotes",
        );
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Option<String> {
        let environment = Environment::parse(line, "f").ok()?;
        environment.values.values().next().map(|value| value.expose().to_owned())
    }

    #[test]
    fn lines_are_read_as_systemd_reads_them() {
        for (line, expected) in [
            ("A=whsec_abc+/=", "whsec_abc+/="),
            ("A=two words $HOME", "two words $HOME"),
            ("A= padded \t", "padded"),
            ("A='it is \\ \"plain\" # $x'", "it is \\ \"plain\" # $x"),
            (r#"A="a \"b\" \\ \$ \` \n""#, r#"a "b" \ $ ` \n"#),
            ("  # remark\n; another\n\nA=b", "b"),
            ("A=it's", "it's"),
            ("A=", ""),
        ] {
            assert_eq!(value(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_systemd_would_read_in_another_way_is_refused() {
        for line in [
            "export A=b",
            "A",
            "A =b",
            "1A=b",
            "Ä=b",
            "A='b",
            "A=\"b",
            "A=\"b\\",
            "A='b'c",
            "A=\"b\"c",
            "A=b\\c",
            "A=b # remark",
            "A=\u{7}",
            "A=b\nA=c",
            "=b",
        ] {
            assert!(Environment::parse(line, "f").is_err(), "{line}");
        }
        let faults = Environment::parse("A='private\nB b", "f").expect_err("two faults").to_string();
        assert!(faults.contains("f: line 1: ") && faults.contains("f: line 2: ") && !faults.contains("private"), "{faults}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["whsec_a+/=", "a b", "it's", "'\"`$\\n", " x ", "#", "ü€", "a\"b", "\\", "=", "!*~;&|<>"] {
            let line = environment_line("A", &Secret::new(text)).expect("no control characters");
            assert_eq!(value(&line).as_deref(), Some(text), "{line}");
        }
        assert!(environment_line("A", &Secret::new("a\nB=c")).is_err());
    }
}
