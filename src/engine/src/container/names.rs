//! Names and ids nobody chose.

use std::fs::File;
use std::io::Read;

use crate::error::{Error, Result};

const MOODS: [&str; 40] = [
    "able", "agile", "amber", "bold", "brave", "bright", "brisk", "calm", "candid", "clever",
    "cosy", "crisp", "deft", "eager", "early", "fair", "fond", "frank", "gentle", "glad", "grand",
    "handy", "honest", "jolly", "keen", "kind", "lively", "lucid", "merry", "neat", "noble",
    "plucky", "quiet", "rapid", "sharp", "steady", "sunny", "tidy", "vivid", "warm",
];
const PORTS: [&str; 40] = [
    "aarhus",
    "antwerp",
    "barcelona",
    "bergen",
    "bilbao",
    "bremen",
    "busan",
    "cadiz",
    "calais",
    "cardiff",
    "cork",
    "danzig",
    "dublin",
    "durban",
    "emden",
    "felixstowe",
    "gdynia",
    "genoa",
    "hamburg",
    "helsinki",
    "izmir",
    "kiel",
    "kobe",
    "leith",
    "lisbon",
    "malmo",
    "naples",
    "ningbo",
    "oslo",
    "piraeus",
    "porto",
    "riga",
    "rostock",
    "rotterdam",
    "santos",
    "split",
    "tallinn",
    "trieste",
    "valencia",
    "yokohama",
];

/// `N` bytes of the kernel's randomness.
///
/// # Errors
/// The kernel's.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|e| Error::kernel("/dev/urandom", e))?;
    Ok(bytes)
}

/// A fresh id: 64 hex digits. Never all digits in its first 12, so that a short id is no number as a hostname.
///
/// # Errors
/// As [`random`].
pub fn id() -> Result<String> {
    loop {
        let bytes: [u8; 32] = random()?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if id[..12].parse::<u64>().is_err() {
            return Ok(id);
        }
    }
}

/// A name of the form `mood_port`, with a digit after some tries.
///
/// # Errors
/// As [`random`].
pub fn pick(tries: u32) -> Result<String> {
    let [a, b, c] = random::<3>()?;
    let name = format!(
        "{}_{}",
        MOODS[usize::from(a) % MOODS.len()],
        PORTS[usize::from(b) % PORTS.len()]
    );
    Ok(if tries < 4 {
        name
    } else {
        format!("{name}{}", c % 10) + &"x".repeat(usize::from(tries > 64))
    })
}

/// Whether docker takes `name` for a container, a volume or a network.
#[must_use]
pub fn is_valid(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(allowed)
}
