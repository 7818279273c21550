//! The witness: a stack that no run may change, compared before and after.

use cc_ci_model::inventory::{self, Inventory, WITNESS_STACK};

/// What the witness was made of at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness(Inventory);

impl Witness {
    /// Takes its fingerprint; `None` on a host that has no witness, where nothing can be said.
    #[must_use]
    pub fn of(inventory: &Inventory) -> Option<Self> {
        let witness = inventory.labelled(WITNESS_STACK);
        (!witness.is_empty()).then_some(Self(witness))
    }

    /// Kind and name of exactly those objects that came, went or changed since; empty if it stands untouched.
    #[must_use]
    pub fn changes(&self, later: &Inventory) -> Vec<String> {
        inventory::changed(&self.0, &later.labelled(WITNESS_STACK))
    }
}
