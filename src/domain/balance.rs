//! What is left of a sale after refunds, disputes and voids: a pure function of all that was said, in any order.

use std::collections::BTreeMap;

use super::adjustment::{AdjustmentKind, Statement};
use super::clock::Timestamp;
use super::money::Money;
use super::proof::Proof;

/// What became of the money of a sale, in minor units of its currency and in terms of all that was paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Given back.
    pub refunded: i64,
    /// Held by a bank, or lost to one.
    pub disputed: i64,
    /// Voided, or never arrived after all.
    pub cancelled: i64,
    /// What all of that takes from the sale's amount: the same where the amount is gross, else in proportion, to the nearest
    /// minor unit (halves up). May be more than the amount, where a payment was refunded and then disputed as well.
    pub taken_back: i64,
    /// Statements in a currency of which the sale knows nothing: not counted.
    pub foreign: usize,
}

/// What statements about one refund or dispute come to.
#[derive(Debug, Default)]
struct Case {
    /// The newest amount that went, if one was said; `None` inside: all of it.
    gone: Option<(Timestamp, Option<i64>)>,
    /// When it was said to have ended, and how.
    ended: Option<(Timestamp, End)>,
}

/// How a refund or dispute ended; of two ends at one instant the later in this list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// The money came back: so much, or all that had gone.
    Back(Option<i64>),
    /// The money is gone for good.
    Gone,
}

impl Balance {
    /// The balance of a sale of this amount and proof, last said to be paid at `paid_at`.
    pub fn of(money: Money, proof: &Proof, paid_at: Timestamp, statements: &[Statement]) -> Self {
        let total = proof.total_minor().max(money.minor);
        let mut foreign = 0;
        let known: Vec<(&Statement, Option<i64>)> = statements
            .iter()
            .filter_map(|statement| match in_currency_of(money, total, proof, statement.adjustment.money) {
                Ok(amount) => Some((statement, amount)),
                Err(Foreign) => {
                    foreign += 1;
                    None
                }
            })
            .collect();
        let refunded = refunded(&known, total);
        let disputed = held(&cases(&known, AdjustmentKind::DisputeOpened), total.saturating_sub(refunded));
        let left = total.saturating_sub(refunded).saturating_sub(disputed).max(0);
        let cancelled = cancelled(&known, paid_at, total).min(left);
        let sum = refunded.saturating_add(disputed).saturating_add(cancelled);
        Self { refunded, disputed, cancelled, taken_back: in_proportion(sum, money.minor, total), foreign }
    }
}

struct Foreign;

/// An amount in terms of the sale's currency; `None` stays all of it. One in the other currency of the payment is taken in
/// proportion, so that all of it is all of it.
fn in_currency_of(sale: Money, total: i64, proof: &Proof, said: Option<Money>) -> Result<Option<i64>, Foreign> {
    match (said, &proof.other) {
        (None, _) => Ok(None),
        (Some(said), _) if said.currency == sale.currency => Ok(Some(said.minor)),
        (Some(said), Some(other)) if said.currency == other.money.currency => {
            Ok(Some(in_proportion(said.minor, total, other.money.minor)))
        }
        (Some(_), Some(_) | None) => Err(Foreign),
    }
}

/// `part` of `whole`, as so much of `amount`: to the nearest unit, halves up.
fn in_proportion(part: i64, amount: i64, whole: i64) -> i64 {
    if amount == whole || whole <= 0 {
        return part;
    }
    let (part, amount, whole) = (i128::from(part), i128::from(amount), i128::from(whole));
    i64::try_from((2 * part * amount + whole).div_euclid(2 * whole)).unwrap_or(i64::MAX)
}

/// What refunds, or disputes, hold together. Those that name no amount take what the others leave of `total`.
fn held(cases: &BTreeMap<Option<&str>, Case>, total: i64) -> i64 {
    let named: i64 = cases.values().filter_map(Case::named).fold(0, i64::saturating_add);
    let takes_all = cases.values().any(|case| case.named().is_none());
    if takes_all { named.max(total) } else { named }
}

/// The larger of what is known refund by refund, and the newest word on all of them together: a team may have switched on the
/// events of either kind, or both. A refund that failed after that word is taken off it.
fn refunded(known: &[(&Statement, Option<i64>)], total: i64) -> i64 {
    let refunds = cases(known, AdjustmentKind::Refund);
    let each = held(&refunds, total);
    let together = known.iter().filter(|(statement, _)| statement.adjustment.is_cumulative);
    let newest = together.max_by_key(|(statement, amount)| (statement.at, *amount));
    let Some((statement, amount)) = newest else { return each };
    let failed = refunds.values().map(|case| case.failed_since(statement.at, total));
    let failed_since = failed.fold(0, i64::saturating_add);
    each.max(amount.unwrap_or(total).saturating_sub(failed_since))
}

/// The refunds, or the disputes, by their ids.
fn cases<'a>(known: &[(&'a Statement, Option<i64>)], family: AdjustmentKind) -> BTreeMap<Option<&'a str>, Case> {
    let mut cases: BTreeMap<Option<&str>, Case> = BTreeMap::new();
    for (statement, amount) in known.iter().filter(|(statement, _)| !statement.adjustment.is_cumulative) {
        let (opens, ends) = match statement.adjustment.kind {
            AdjustmentKind::Refund => (AdjustmentKind::Refund, None),
            AdjustmentKind::RefundFailed => (AdjustmentKind::Refund, Some(End::Back(*amount))),
            AdjustmentKind::DisputeOpened => (AdjustmentKind::DisputeOpened, None),
            AdjustmentKind::DisputeWon => (AdjustmentKind::DisputeOpened, Some(End::Back(*amount))),
            AdjustmentKind::DisputeLost => (AdjustmentKind::DisputeOpened, Some(End::Gone)),
            AdjustmentKind::Void | AdjustmentKind::PaymentFailed => continue,
        };
        if opens != family {
            continue;
        }
        let case = cases.entry(statement.adjustment.id.as_deref()).or_default();
        // A loss that names no amount says nothing about it.
        if ends.is_none() || (ends == Some(End::Gone) && amount.is_some()) {
            case.gone = case.gone.max(Some((statement.at, *amount)));
        }
        if let Some(end) = ends {
            case.ended = case.ended.max(Some((statement.at, end)));
        }
    }
    cases
}

/// What was voided, or failed after it was last said to be paid.
fn cancelled(known: &[(&Statement, Option<i64>)], paid_at: Timestamp, total: i64) -> i64 {
    let mut voids: BTreeMap<Option<&str>, (Timestamp, Option<i64>)> = BTreeMap::new();
    let mut failed = 0;
    for (statement, amount) in known {
        match statement.adjustment.kind {
            AdjustmentKind::Void => {
                let said = (statement.at, *amount);
                let newest = voids.entry(statement.adjustment.id.as_deref()).or_insert(said);
                *newest = (*newest).max(said);
            }
            AdjustmentKind::PaymentFailed if statement.at > paid_at => failed = failed.max(amount.unwrap_or(total)),
            AdjustmentKind::PaymentFailed
            | AdjustmentKind::Refund
            | AdjustmentKind::RefundFailed
            | AdjustmentKind::DisputeOpened
            | AdjustmentKind::DisputeWon
            | AdjustmentKind::DisputeLost => {}
        }
    }
    voids.values().map(|(_, amount)| amount.unwrap_or(total)).fold(failed, i64::saturating_add)
}

impl Case {
    /// What it holds of the merchant's money; `None` for all that is there.
    fn named(&self) -> Option<i64> {
        match (self.gone, self.ended) {
            // Where only its happy end was told, nothing is gone.
            (None, Some((_, End::Back(_)))) | (Some(_), Some((_, End::Back(None)))) => Some(0),
            (Some((_, gone)), Some((_, End::Back(Some(back))))) => gone.map(|gone| gone.saturating_sub(back).max(0)),
            (Some((_, gone)), Some((_, End::Gone)) | None) => gone,
            (None, Some((_, End::Gone)) | None) => None,
        }
    }

    /// What came back of it after an instant.
    fn failed_since(&self, since: Timestamp, total: i64) -> i64 {
        match (self.gone, self.ended) {
            (Some((_, gone)), Some((at, End::Back(back)))) if at > since => back.or(gone).unwrap_or(total),
            (Some(_) | None, Some(_) | None) => 0,
        }
    }
}
