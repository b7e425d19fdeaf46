//! What is told of group commits, by whichever store makes them.

use std::time::Duration;

/// Notes a group commit: how long it took, how many writes shared it, and whether it was committed.
pub(super) fn note(took: Duration, writes: usize, is_committed: bool) {
    let outcome = if is_committed { "committed" } else { "failed" };
    metrics::counter!("salebridge_store_commits_total", "outcome" => outcome).increment(1);
    metrics::histogram!("salebridge_store_commit_seconds").record(took);
    metrics::histogram!("salebridge_store_commit_size").record(u32::try_from(writes).unwrap_or(u32::MAX));
}
