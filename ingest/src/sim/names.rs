//! Names that read like a contact center's.

use super::random::Chance;

const FIRST: [&str; 48] = [
    "Aisha",
    "Alejandro",
    "Amara",
    "Ana",
    "Anders",
    "Beatriz",
    "Bilal",
    "Camille",
    "Carlos",
    "Chen",
    "Chidi",
    "Daria",
    "Deepak",
    "Elena",
    "Emeka",
    "Emily",
    "Farid",
    "Fatima",
    "Grace",
    "Hannah",
    "Hiroshi",
    "Ingrid",
    "Ivan",
    "Jamal",
    "Jasmine",
    "Joana",
    "Jonas",
    "Kavya",
    "Kofi",
    "Laura",
    "Leila",
    "Liam",
    "Lucia",
    "Marco",
    "Maria",
    "Mateo",
    "Mei",
    "Miguel",
    "Nadia",
    "Noor",
    "Olga",
    "Omar",
    "Priya",
    "Rafael",
    "Sofia",
    "Tomasz",
    "Yuki",
    "Zanele",
];
const LAST: [&str; 48] = [
    "Abdi",
    "Alvarez",
    "Andersson",
    "Banerjee",
    "Baptiste",
    "Becker",
    "Bianchi",
    "Brown",
    "Castro",
    "Cohen",
    "Costa",
    "Dang",
    "Diallo",
    "Duarte",
    "Eze",
    "Fernandes",
    "Fischer",
    "Garcia",
    "Haddad",
    "Hansen",
    "Ito",
    "Jansen",
    "Johnson",
    "Kaya",
    "Khan",
    "Kim",
    "Kowalski",
    "Kumar",
    "Lee",
    "Lopez",
    "Martin",
    "Mbeki",
    "Mendoza",
    "Moreau",
    "Nguyen",
    "Novak",
    "Okafor",
    "Patel",
    "Petrov",
    "Ramos",
    "Reyes",
    "Rossi",
    "Santos",
    "Sato",
    "Silva",
    "Smith",
    "Tran",
    "Wilson",
];
const TOPICS: [&str; 16] = [
    "billing",
    "support",
    "sales",
    "claims",
    "orders",
    "retention",
    "returns",
    "accounts",
    "bookings",
    "delivery",
    "payments",
    "technical",
    "renewals",
    "fraud",
    "premium",
    "general",
];
const SITES: [&str; 8] =
    ["lisbon", "austin", "manila", "krakow", "bogota", "leeds", "durban", "osaka"];

pub(super) fn person(chance: &mut Chance) -> String {
    format!("{} {}", FIRST[chance.index(FIRST.len())], LAST[chance.index(LAST.len())])
}

/// What the `index`-th queue is about; unique.
pub(super) fn topic(index: usize) -> String {
    numbered(&TOPICS, index)
}

pub(super) fn site(index: usize) -> String {
    numbered(&SITES, index)
}

fn numbered(names: &[&str], index: usize) -> String {
    let name = names[index % names.len()];
    match index / names.len() {
        0 => name.to_owned(),
        round => format!("{name}{}", round + 1),
    }
}
