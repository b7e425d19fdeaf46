//! A person's word on one sale, for programs and for the pages: done in one transaction, and whoever has to act on it is woken.

use std::sync::{Arc, Mutex};

use super::State;
use crate::attribute::{ByHand, Ledger, Wanted};
use crate::domain::SaleId;
use crate::store::{Error, Fold};

/// Why nothing became of a person's word.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    /// The number is wrong; trying again does not help.
    #[error("there is no sale {0}")]
    Missing(SaleId),
    /// It comes too late; trying again does not help.
    #[error("sale {0} was handed to a sender: what was sent cannot be kept back")]
    Sent(SaleId),
    /// The other sale is the one to decide of.
    #[error("sale {into} stands for sale {id}")]
    Merged {
        /// The sale that was named.
        id: SaleId,
        /// The one that stands for it.
        into: SaleId,
    },
    /// Nothing is changed; trying again may help.
    #[error(transparent)]
    Store(#[from] Error),
}

impl State {
    /// Keeps a sale back until a person lets it go. It may be so already.
    pub(super) async fn park(&self, id: SaleId, reason: String) -> Result<(), NotDone> {
        self.decide(id, Box::new(move |ledger| ledger.park(id, &reason))).await
    }

    /// Lets a sale go that a person kept back. It may be so already.
    pub(super) async fn let_go(&self, id: SaleId) -> Result<(), NotDone> {
        let (rules, now) = (self.rules.clone(), self.clock.now());
        self.decide(id, Box::new(move |ledger| ledger.let_go(id, &rules, now))).await
    }

    async fn decide(&self, id: SaleId, mut word: Box<dyn FnMut(&mut Ledger) -> ByHand + Send>) -> Result<(), NotDone> {
        let mut wanted = Wanted::default();
        wanted.sales.insert(id);
        let outcome = Arc::new(Mutex::new(ByHand::Missing));
        let told = Arc::clone(&outcome);
        let fold: Fold = Box::new(move |ledger| *told.lock().expect("nobody panics while they hold it") = word(ledger));
        self.store.remap(wanted, self.clock.now(), fold).await?;
        let outcome = *outcome.lock().expect("nobody panics while they hold it");
        match outcome {
            ByHand::Done => self.ring(),
            ByHand::Already => {}
            ByHand::Missing => return Err(NotDone::Missing(id)),
            ByHand::Sent => return Err(NotDone::Sent(id)),
            ByHand::Merged(into) => return Err(NotDone::Merged { id, into }),
        }
        Ok(())
    }
}
