//! Persons who listen under several addresses of an inbox: whoever has proven who it is hears what is said to it under each of them
//! (contract, section 5, HMAC).
use crate::event::{Audience, Event, Fact};
use std::collections::HashMap;

/// A contact in an inbox.
pub type Person = (i64, i64);

/// The proven addresses that listen.
#[derive(Default)]
pub struct Persons {
    of_address: HashMap<i64, Person>,
    addresses: HashMap<Person, Vec<i64>>,
}

impl Persons {
    /// An address that listens has been proven to be a person's.
    pub fn note(&mut self, contact_inbox_id: i64, person: Person) {
        if self.of_address.get(&contact_inbox_id) == Some(&person) {
            return;
        }
        self.forget(contact_inbox_id);
        self.of_address.insert(contact_inbox_id, person);
        self.addresses.entry(person).or_default().push(contact_inbox_id);
    }

    /// An address listens no more.
    pub fn forget(&mut self, contact_inbox_id: i64) {
        let Some(person) = self.of_address.remove(&contact_inbox_id) else { return };
        if let Some(addresses) = self.addresses.get_mut(&person) {
            addresses.retain(|address| *address != contact_inbox_id);
            if addresses.is_empty() {
                self.addresses.remove(&person);
            }
        }
    }

    /// The addresses of a person.
    pub fn addresses(&self, person: Person) -> &[i64] {
        self.addresses.get(&person).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Who hears of an event under each of its addresses; nobody who types hears of that.
pub fn person_of(event: &Event) -> Option<Person> {
    let view = event.fact.conversation().filter(|view| view.contact_inbox.hmac_verified)?;
    let is_told = matches!(event.fact.audience(), Audience::AgentsAndContact { .. });
    let is_typing = matches!(event.fact, Fact::TypingOn(..) | Fact::TypingOff(..));
    (is_told && !is_typing).then_some((view.contact.id, view.inbox.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_person_s() {
        let mut persons = Persons::default();
        for (address, person) in [(1, (7, 1)), (2, (7, 1)), (2, (7, 1)), (3, (8, 1)), (3, (7, 1))] {
            persons.note(address, person);
        }
        assert_eq!((persons.addresses((7, 1)), persons.addresses((8, 1))), ([1, 2, 3].as_slice(), [].as_slice()));
        persons.forget(2);
        persons.forget(2);
        assert_eq!(persons.addresses((7, 1)), [1, 3]);
        persons.forget(1);
        persons.forget(3);
        assert!(persons.of_address.is_empty() && persons.addresses.is_empty());
    }
}
