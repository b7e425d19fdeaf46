//! Entries that are in no run yet, found by their hashes, which are those of a table at once: SHA-256 has spread them.

use hashbrown::HashTable;

use super::Entry;

/// The tail, in no order.
#[derive(Default)]
pub(super) struct Tail(HashTable<Entry>);

impl Tail {
    /// Puts an entry. Answers whether it was not there yet.
    pub(super) fn put(&mut self, entry: Entry) -> bool {
        let is_new = self.0.find(entry.hash, |known| *known == entry).is_none();
        if is_new {
            self.0.insert_unique(entry.hash, entry, |entry| entry.hash);
        }
        is_new
    }

    /// What stands under this hash.
    pub(super) fn find(&self, hash: u64) -> impl Iterator<Item = Entry> {
        self.0.iter_hash(hash).copied().filter(move |entry| entry.hash == hash)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of it in the order of a run. Nothing is left.
    pub(super) fn take_sorted(&mut self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.0.drain().collect();
        entries.sort_unstable();
        entries
    }
}

/// Some hashes, without entries.
#[derive(Default)]
pub(super) struct Hashes(HashTable<u64>);

impl Hashes {
    pub(super) fn has(&self, hash: u64) -> bool {
        self.0.find(hash, |known| *known == hash).is_some()
    }

    /// Puts one that is not there yet.
    pub(super) fn put(&mut self, hash: u64) {
        self.0.insert_unique(hash, hash, |hash| *hash);
    }

    pub(super) fn remove(&mut self, hash: u64) {
        if let Ok(known) = self.0.find_entry(hash, |known| *known == hash) {
            known.remove();
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// What stands under this hash among entries in the order of a run.
pub(super) fn find_sorted(entries: &[Entry], hash: u64) -> &[Entry] {
    let start = entries.partition_point(|entry| entry.hash < hash);
    let end = start + entries[start..].partition_point(|entry| entry.hash == hash);
    &entries[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_hash_are_all_found_and_those_beside_it_are_not() {
        let entry = |hash, place| Entry { hash, place };
        // The lowest bits choose the place in a table, and the highest seven are compared first: these differ in neither.
        let alike = |number: u64| 5 | number << 30;
        let mut tail = Tail::default();
        for number in (0..200).rev() {
            for place in 0..3 {
                assert!(tail.put(entry(alike(number), place)));
                assert!(!tail.put(entry(alike(number), place)));
            }
        }
        assert_eq!(tail.len(), 600);
        let is_of = |found: &[Entry], number| found == [0, 1, 2].map(|place| entry(alike(number), place));
        for number in 0..200 {
            let mut found: Vec<Entry> = tail.find(alike(number)).collect();
            found.sort_unstable();
            assert!(is_of(&found, number));
        }
        assert!(tail.find(alike(200)).next().is_none());
        let sorted = tail.take_sorted();
        assert!(tail.len() == 0 && sorted.len() == 600);
        assert!((0..200).all(|number| is_of(find_sorted(&sorted, alike(number)), number)));
        assert!(find_sorted(&sorted, 0).is_empty() && find_sorted(&sorted, u64::MAX).is_empty());
    }
}
