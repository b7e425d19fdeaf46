//! What a person decides of a sale: it is not to be sent, or it is after all.

use super::{Ledger, Rules};
use crate::domain::{PARKED_BY_HAND, Reason, SaleId, SaleState, Timestamp};

/// What became of a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// It is done.
    Done,
    /// It was so already.
    Already,
    /// There is no such sale.
    Missing,
    /// The sale was sent: what was sent cannot be kept back.
    Sent,
    /// Another sale stands for it.
    Merged(SaleId),
}

impl Ledger {
    /// Keeps a sale back until a person lets it go; events go on to fill it.
    pub fn park(&mut self, id: SaleId, why: &str) -> ByHand {
        let index = match self.unsent(id) {
            Ok(index) => index,
            Err(answer) => return answer,
        };
        if self.slice.sales[index].is_parked_by_hand() {
            return ByHand::Already;
        }
        self.slice.sales[index].state = SaleState::Parked(Reason::new(PARKED_BY_HAND, why.to_owned()));
        self.changes.withdrawn.push(id);
        self.changed_sales.insert(index);
        ByHand::Done
    }

    /// Lets a sale go that a person kept back: it stands where the rules put it.
    pub fn let_go(&mut self, id: SaleId, rules: &Rules, now: Timestamp) -> ByHand {
        let index = match self.unsent(id) {
            Ok(index) => index,
            Err(answer) => return answer,
        };
        if !self.slice.sales[index].is_parked_by_hand() {
            return ByHand::Already;
        }
        self.slice.sales[index].state = SaleState::Waiting(now);
        self.settle(index, rules, now);
        ByHand::Done
    }

    fn unsent(&self, id: SaleId) -> Result<usize, ByHand> {
        let index = *self.by_id.get(&id).ok_or(ByHand::Missing)?;
        let sale = &self.slice.sales[index];
        if let SaleState::Merged(into) = sale.state {
            return Err(ByHand::Merged(into));
        }
        if sale.is_sent() { Err(ByHand::Sent) } else { Ok(index) }
    }
}
