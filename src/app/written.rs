//! What a configuration file says, as digests: enough to tell what another one says differently, and nothing that is secret.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

/// The lists whose entries are known by a name.
const NAMED: [&str; 2] = ["sources", "upstreams"];

/// A digest for each key, with everything filled in: `sources.stripe.secrets` for what stands at `secrets` of that source.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Written(BTreeMap<String, [u8; 32]>);

impl Written {
    /// The digests of a table whose secrets are read from their places.
    pub(super) fn of(table: &Table) -> Self {
        let mut written = Self::default();
        for (key, value) in table {
            let entries = value.as_array().filter(|_| NAMED.contains(&key.as_str()));
            for entry in entries.into_iter().flatten() {
                let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
                written.add(&format!("{key}.{name}"), entry);
            }
            if entries.is_none() {
                written.add(key, value);
            }
        }
        written
    }

    fn add(&mut self, key: &str, value: &Value) {
        if let Value::Table(table) = value {
            for (name, value) in table {
                self.add(&format!("{key}.{name}"), value);
            }
        } else {
            self.0.insert(key.to_owned(), Sha256::digest(value.to_string()).into());
        }
    }

    /// Whether a part, such as `sources.stripe`, says the same in both.
    pub(super) fn is_same(&self, other: &Self, part: &str) -> bool {
        self.part(part).eq(other.part(part))
    }

    fn part<'a>(&'a self, part: &str) -> impl Iterator<Item = (&'a String, &'a [u8; 32])> {
        let start = format!("{part}.");
        self.0.iter().filter(move |(key, _)| key.starts_with(&start))
    }

    /// What another says differently: `sources.stripe.secrets: changed`, `upstreams.dub: added`.
    pub(super) fn changes(&self, new: &Self) -> Vec<String> {
        let (old_entries, new_entries) = (self.entries(), new.entries());
        let keys: BTreeSet<&String> = self.0.keys().chain(new.0.keys()).collect();
        let mut changes = BTreeSet::new();
        for key in keys.into_iter().filter(|key| self.0.get(*key) != new.0.get(*key)) {
            let entry = entry_of(key);
            let is_in = |entries: &BTreeSet<String>| entry.as_ref().is_none_or(|entry| entries.contains(entry));
            changes.insert(match (is_in(&old_entries), is_in(&new_entries), entry.as_ref()) {
                (false, true, Some(entry)) => format!("{entry}: added"),
                (true, false, Some(entry)) => format!("{entry}: removed"),
                (_, _, _) => format!("{key}: changed"),
            });
        }
        changes.into_iter().collect()
    }

    fn entries(&self) -> BTreeSet<String> {
        self.0.keys().filter_map(|key| entry_of(key)).collect()
    }
}

impl std::fmt::Debug for Written {
    /// Only the keys: the digest of a secret that is easily guessed says which it is.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// `sources.stripe` of `sources.stripe.secrets`.
fn entry_of(key: &str) -> Option<String> {
    let (list, rest) = key.split_once('.').filter(|(list, _)| NAMED.contains(list))?;
    Some(format!("{list}.{}", rest.split('.').next()?))
}

#[cfg(test)]
mod tests {
    use super::Written;

    fn written(text: &str) -> Written {
        Written::of(&text.parse().expect("TOML"))
    }

    #[test]
    fn a_digest_is_not_shown() {
        let written = written("[[sources]]\nname = \"s\"\nsecrets = [\"private\"]\n");
        assert_eq!(format!("{written:?}"), r#"{"sources.s.name", "sources.s.secrets"}"#);
    }

    #[test]
    fn what_is_changed_is_named() {
        let old = written(
            "[server]\nlisten = \"a\"\n[[sources]]\nname = \"s\"\nsecrets = [\"private\"]\n[[sources]]\nname = \"r\"\nsecrets = []\n",
        );
        let new = written(
            "[server]\nlisten = \"b\"\n[retention]\nignored_days = 3\n[[sources]]\nname = \"s\"\nsecrets = [\"other\"]\n[[upstreams]]\nname = \"u\"\n",
        );
        assert_eq!(
            old.changes(&new),
            [
                "retention.ignored_days: changed",
                "server.listen: changed",
                "sources.r: removed",
                "sources.s.secrets: changed",
                "upstreams.u: added"
            ]
        );
        assert_eq!(old.changes(&old), Vec::<String>::new());
        assert!(old.is_same(&new, "retired") && !old.is_same(&new, "sources.s"));
    }
}
