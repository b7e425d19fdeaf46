//! How each sale stands in the hourly counts: `store check` adds them up anew and compares.

use crate::domain::{Mode, Origin, Sale, SaleState, Tallied, Tallies, Tally};

/// How a sale is counted: where, and with how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    tally: Tally,
    minor: i64,
    taken_back: i64,
}

/// How a sale is counted now; `None` for one in test mode, one that another stands for, and one that today's pack does not count.
pub(super) fn counted(sale: &Sale) -> Option<Counted> {
    if sale.scope.mode != Mode::Live || matches!(sale.state, SaleState::Merged(_)) || sale.is_not_counted_today() {
        return None;
    }
    let mut tally = Tally::new(Tallied::Sale, sale.at, sale.source.clone(), how(sale));
    tally.currency = sale.money.currency.code();
    Some(Counted { tally, minor: sale.money.minor, taken_back: sale.taken_back })
}

/// Adds a sale, or takes away how it was counted before.
pub(super) fn tally(tallies: &mut Tallies, counted: Counted, sign: i64) {
    let Counted { tally, minor, taken_back } = counted;
    if taken_back != 0 {
        let tally = Tally { what: Tallied::TakenBack, ..tally.clone() };
        tallies.add(tally, sign, i128::from(sign) * i128::from(taken_back));
    }
    tallies.add(tally, sign, i128::from(sign) * i128::from(minor));
}

/// How it came by its click, or why it did not: `attributed`, `remembered`, `waiting`, `unattributed:CODE`, `parked:CODE`.
fn how(sale: &Sale) -> String {
    if let SaleState::Parked(reason) = &sale.state {
        return format!("parked:{}", reason.code);
    }
    match (&sale.buyer.click_id, &sale.without_click) {
        (Some(found), _) => match found.origin {
            Origin::Request { .. } => "attributed".to_owned(),
            Origin::Memory { .. } | Origin::Fallback { .. } => "remembered".to_owned(),
        },
        (None, Some(reason)) => format!("unattributed:{}", reason.code),
        (None, None) => "waiting".to_owned(),
    }
}
