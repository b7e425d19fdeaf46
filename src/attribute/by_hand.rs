//! What a person decides of a sale: it is not to be sent, or it is after all.

use super::{Ledger, Rules};
use crate::domain::{PARKED_BY_HAND, Reason, Sale, SaleId, SaleState, Timestamp};

/// What a person can decide of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// To keep it back.
    Park,
    /// To let it go, which a person kept back.
    LetGo,
}

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

impl Choice {
    /// What a person can decide of this sale now.
    ///
    /// # Errors
    /// Nothing any more, and why.
    pub fn of(sale: &Sale) -> Result<Self, ByHand> {
        if let SaleState::Merged(into) = sale.state {
            return Err(ByHand::Merged(into));
        }
        if sale.is_sent() {
            return Err(ByHand::Sent);
        }
        Ok(if sale.is_parked_by_hand() { Self::LetGo } else { Self::Park })
    }
}

impl Ledger {
    /// Keeps a sale back until a person lets it go; events go on to fill it.
    pub fn park(&mut self, id: SaleId, why: &str) -> ByHand {
        let index = match self.open_to(id, Choice::Park) {
            Ok(index) => index,
            Err(answer) => return answer,
        };
        self.slice.sales[index].state = SaleState::Parked(Reason::new(PARKED_BY_HAND, why.to_owned()));
        self.changes.withdrawn.push(id);
        self.changed_sales.insert(index);
        ByHand::Done
    }

    /// Lets a sale go that a person kept back: it stands where the rules put it.
    pub fn let_go(&mut self, id: SaleId, rules: &Rules, now: Timestamp) -> ByHand {
        let index = match self.open_to(id, Choice::LetGo) {
            Ok(index) => index,
            Err(answer) => return answer,
        };
        self.slice.sales[index].state = SaleState::Waiting(now);
        self.settle(index, rules, now);
        ByHand::Done
    }

    fn open_to(&self, id: SaleId, choice: Choice) -> Result<usize, ByHand> {
        let index = *self.by_id.get(&id).ok_or(ByHand::Missing)?;
        if Choice::of(&self.slice.sales[index])? == choice { Ok(index) } else { Err(ByHand::Already) }
    }
}
