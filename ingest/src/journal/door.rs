//! The journal as the HTTP source's port.

use super::writer::{Appended, JournalWriter, Refusal, Refused};
use crate::http;
use crate::intake::Delivery;

impl http::Journal for JournalWriter {
    fn submit(&self, delivery: Delivery) -> Result<http::Receipt, http::NotDurable> {
        let items = delivery.items.len() as u64;
        let receipt = self.try_append(delivery).map_err(|refused| told(refused.refusal))?;
        Ok(Box::pin(async move {
            match receipt.await {
                Ok(Ok(appended)) => Ok(placed(&appended, items)),
                Ok(Err(Refused { refusal, .. })) => Err(told(refusal)),
                Err(_gone) => Err(http::NotDurable::Failing),
            }
        }))
    }
}

fn placed(appended: &Appended, items: u64) -> http::Appended {
    let seqs = appended.first_seq..appended.first_seq + items;
    let mut items: Vec<http::Placed> =
        seqs.map(|seq| http::Placed { seq, refused: None }).collect();
    for (at, reason) in &appended.rejected {
        items[*at].refused = Some(reason.clone());
    }
    http::Appended { items }
}

fn told(refusal: Refusal) -> http::NotDurable {
    match refusal {
        Refusal::Overloaded => http::NotDurable::Overloaded,
        Refusal::TooLarge { max_events, max_bytes } => {
            http::NotDurable::TooLarge { max_events, max_bytes }
        }
        Refusal::Full => http::NotDurable::Full,
        Refusal::Failing => http::NotDurable::Failing,
    }
}
