//! How a store stands to this program's layout: what an upgrade would change, seen without any change.

use schemars::JsonSchema;
use serde::Serialize;

/// A copy and the migration itself need at least so much more than the copy's own size.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;

/// How a store stands to this program's layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UpgradeView {
    /// `sqlite` or `postgresql`.
    pub kind: &'static str,
    /// The layout that the store has; 0 where there is no store yet.
    pub layout: usize,
    /// The layout that this program writes.
    pub newest: usize,
    /// How large the store is, in bytes, without room that is free inside it: so large is the copy that a file is given first.
    pub bytes: u64,
    /// How much room the file's disk has, in bytes. Not known of a database's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Whether a copy is made before the layout is changed.
    pub is_copied: bool,
    /// Copies that former upgrades left behind. Nothing removes them by itself.
    pub copies: Vec<String>,
}

impl UpgradeView {
    /// The numbers of the migrations that are to be made, oldest first.
    pub fn pending(&self) -> std::ops::RangeInclusive<usize> {
        self.layout + 1..=self.newest
    }

    /// Whether a layout that holds something would be changed.
    pub fn changes_layout(&self) -> bool {
        self.layout > 0 && self.layout < self.newest
    }

    /// Why the store cannot be upgraded as it is, with what to do; nothing where it can.
    pub fn obstacle(&self) -> Option<String> {
        if self.layout > self.newest {
            return Some(newer(self.layout, self.newest, &self.copies));
        }
        match self.free_bytes {
            Some(free) if self.changes_layout() && self.is_copied => room(self.bytes, free).err(),
            Some(_) | None => None,
        }
    }
}

/// What is said of a store that a newer program wrote.
pub(super) fn newer(layout: usize, newest: usize, copies: &[String]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let back = match copies.last() {
        Some(copy) => format!("; the newest copy of an older layout is {copy}"),
        None => String::new(),
    };
    format!(
        "the store is of layout {layout}, newer than this program: salebridge {version} knows layouts up to {newest}. Run the salebridge \
         that wrote it, or go back to a copy of before the upgrade, as docs/upgrade.md says{back}"
    )
}

/// What is said of a store that an older program wrote, to somebody who may only look.
pub(super) fn older(layout: usize) -> String {
    format!("the store is of layout {layout}, older than this program: start `salebridge serve` once to migrate it")
}

/// Whether a copy of so many bytes has room.
pub(super) fn room(bytes: u64, free: u64) -> Result<(), String> {
    let needed = bytes.saturating_add(SPARE_BYTES);
    if needed <= free {
        return Ok(());
    }
    Err(format!(
        "the copy that is made before the layout is changed needs {needed} bytes and the disk has {free}: make room, or copy the store \
         elsewhere (`salebridge store backup FILE`) and set store.backup_before_upgrade = false. Nothing was changed"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(layout: usize, free: u64) -> UpgradeView {
        let copies = vec!["a.before-0002".to_owned(), "a.before-0009".to_owned()];
        UpgradeView { kind: "sqlite", layout, newest: 9, bytes: 1 << 30, free_bytes: Some(free), is_copied: true, copies }
    }

    #[test]
    fn a_disk_without_room_for_the_copy_is_an_obstacle_only_where_one_is_made() {
        let full = view(8, 1 << 30).obstacle().expect("no room");
        assert!(full.contains("needs 1090519040 bytes and the disk has 1073741824"), "{full}");
        assert_eq!(view(8, (1 << 30) + SPARE_BYTES).obstacle(), None);
        assert_eq!(view(9, 0).obstacle(), None, "nothing to migrate");
        assert_eq!(view(0, 0).obstacle(), None, "nothing to copy");
        assert_eq!(UpgradeView { is_copied: false, ..view(8, 0) }.obstacle(), None, "left out by the operator");
    }

    #[test]
    fn a_newer_store_says_which_copy_leads_back() {
        let refused = view(10, u64::MAX).obstacle().expect("newer");
        assert!(refused.contains("layout 10, newer than this program") && refused.ends_with("a.before-0009"), "{refused}");
        assert_eq!(view(7, u64::MAX).pending().collect::<Vec<_>>(), [8, 9]);
        assert!(view(10, u64::MAX).pending().is_empty());
    }
}
