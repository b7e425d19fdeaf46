//! What is wrong with something an operator wrote, and where.

use std::fmt;

/// One mistake in a configuration, a pack or a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as the operator would name it.
    pub file: String,
    /// The key inside the file, such as `sources[0].secrets`; empty where the whole file is meant.
    pub key: String,
    /// What is wrong and what would be right.
    pub cause: String,
}

/// Every mistake that was found, so that the operator mends them in one go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Notes one more mistake.
    pub fn add(&mut self, file: &str, key: impl Into<String>, cause: impl Into<String>) {
        self.0.push(Fault { file: file.to_owned(), key: key.into(), cause: cause.into() });
    }

    /// `value` where nothing was found, else all that was found.
    pub fn or<T>(self, value: T) -> Result<T, Faults> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(formatter, "{}: {}", self.file, self.cause)
        } else {
            write!(formatter, "{}: {}: {}", self.file, self.key, self.cause)
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
