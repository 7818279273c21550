//! How a secret may look in output: each character with the ways it can be written.

use std::collections::{BTreeSet, HashMap};

/// One way to write one character. Case does not count where it is made of hexadecimal digits.
#[derive(Clone)]
struct Spelling {
    bytes: Vec<u8>,
    any_case: bool,
}

impl Spelling {
    fn exact(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), any_case: false }
    }

    fn any_case(text: String) -> Self {
        Self { bytes: text.into_bytes(), any_case: true }
    }

    fn meets(&self, text: &[u8]) -> bool {
        if self.any_case { self.bytes.eq_ignore_ascii_case(text) } else { self.bytes == text }
    }
}

/// The ways to write one character.
type Character = Vec<Spelling>;

/// One secret line, as text or in one base64 form.
type Pattern = Vec<Character>;

/// What a pattern says about the bytes from some place on.
#[derive(Clone, Copy, Default)]
pub(super) struct Find {
    /// Length in bytes of the longest occurrence that begins there.
    pub(super) length: usize,
    /// Could more bytes make it an occurrence, or a longer one?
    pub(super) is_live: bool,
}

/// How many bytes decide whether a pattern is looked at more closely. No pattern is shorter.
const PREFIX: usize = 3;

/// How many bits the sieve has; a power of two, and many times the number of prefixes.
const SIEVE_BITS: u32 = 1 << 18;

/// All patterns of all values, found by what they may begin with.
///
/// Logs are long and secrets rare, so nearly every place is passed over after a look into the sieve, which says
/// "certainly nothing begins here" for all but a few of a hundred.
#[derive(Clone)]
pub(super) struct Patterns {
    all: Vec<Pattern>,
    by_prefix: HashMap<[u8; PREFIX], Vec<usize>>,
    sieve: Vec<u64>,
    /// For the last bytes of a chunk, which are fewer than a prefix.
    by_first_byte: Vec<Vec<usize>>,
}

impl Default for Patterns {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            by_prefix: HashMap::new(),
            sieve: vec![0; (SIEVE_BITS / u64::BITS) as usize],
            by_first_byte: vec![Vec::new(); 256],
        }
    }
}

impl Patterns {
    pub(super) fn add(&mut self, value: &str) {
        let value = value.trim();
        let mut parts: Vec<&str> =
            value.lines().map(str::trim).filter(|line| line.chars().count() >= super::SHORTEST).collect();
        if parts.is_empty() {
            // Only short lines: then at least the value as a whole must not be seen.
            parts.push(value);
        }
        for part in &parts {
            self.add_pattern(part.chars().map(ways_to_write).collect());
        }
        if !parts.contains(&value) {
            parts.push(value);
        }
        for part in parts {
            for offset in 0..3 {
                // Where a wrap falls into the first characters, the rest behind it is still found.
                for missing in 0..BEFORE_A_WRAP {
                    self.add_pattern(base64(part.as_bytes(), offset, missing));
                }
            }
        }
    }

    fn add_pattern(&mut self, pattern: Pattern) {
        let number = self.all.len();
        let prefixes = prefixes(&pattern);
        for first in prefixes.iter().map(|[first, ..]| *first).collect::<BTreeSet<u8>>() {
            if let Some(numbers) = self.by_first_byte.get_mut(usize::from(first)) {
                numbers.push(number);
            }
        }
        for prefix in prefixes {
            let (word, bit) = place_in_sieve(prefix);
            if let Some(word) = self.sieve.get_mut(word) {
                *word |= bit;
            }
            self.by_prefix.entry(prefix).or_default().push(number);
        }
        self.all.push(pattern);
    }

    /// What begins at the first of these bytes.
    pub(super) fn find(&self, text: &[u8]) -> Find {
        let candidates = match text.first_chunk::<PREFIX>() {
            Some(prefix) => {
                let (word, bit) = place_in_sieve(*prefix);
                if self.sieve.get(word).is_none_or(|word| word & bit == 0) {
                    return Find::default();
                }
                self.by_prefix.get(prefix)
            }
            None => text.first().and_then(|first| self.by_first_byte.get(usize::from(*first))),
        };
        let mut best = Find::default();
        for pattern in candidates.into_iter().flatten().filter_map(|number| self.all.get(*number)) {
            let find = find(pattern, text);
            best = Find { length: best.length.max(find.length), is_live: best.is_live || find.is_live };
        }
        best
    }
}

/// Which word of the sieve, and which bit of it, stands for a prefix.
fn place_in_sieve([first, second, third]: [u8; PREFIX]) -> (usize, u64) {
    let key = u32::from_be_bytes([0, first, second, third]);
    // Multiplying by a large odd number spreads neighbours over the upper bits (Knuth's multiplicative hash).
    let hash = key.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SIEVE_BITS.ilog2());
    ((hash / u64::BITS) as usize, 1 << (hash % u64::BITS))
}

/// Everything the pattern may begin with.
fn prefixes(pattern: &[Character]) -> BTreeSet<[u8; PREFIX]> {
    let mut whole = BTreeSet::new();
    let mut beginnings = vec![Vec::new()];
    for character in pattern.iter().take(PREFIX) {
        let mut longer = Vec::new();
        for (beginning, spelling) in beginnings
            .iter()
            .flat_map(|beginning| character.iter().map(move |spelling| (beginning, spelling)))
        {
            let mut ways = vec![Vec::clone(beginning)];
            for byte in &spelling.bytes {
                let cases = match spelling.any_case {
                    true => vec![byte.to_ascii_lowercase(), byte.to_ascii_uppercase()],
                    false => vec![*byte],
                };
                ways = ways
                    .iter()
                    .flat_map(|way| cases.iter().map(move |case| [way.as_slice(), &[*case]].concat()))
                    .collect();
                ways.dedup();
                if ways.first().is_some_and(|way| way.len() == PREFIX) {
                    break;
                }
            }
            for way in ways {
                match way.first_chunk::<PREFIX>() {
                    Some(prefix) => {
                        whole.insert(*prefix);
                    }
                    None => longer.push(way),
                }
            }
        }
        beginnings = longer;
    }
    whole
}

/// Follows all ways to write the pattern at once, as a set of places reached.
fn find(pattern: &[Character], text: &[u8]) -> Find {
    let mut places = vec![0];
    let mut is_live = false;
    for character in pattern {
        let mut next = Vec::new();
        for place in places {
            let rest = text.get(place..).unwrap_or_default();
            for spelling in character {
                let length = spelling.bytes.len();
                match rest.get(..length) {
                    Some(seen) if spelling.meets(seen) => {
                        if !next.contains(&(place + length)) {
                            next.push(place + length);
                        }
                    }
                    Some(_) => {}
                    None => is_live |= begins(spelling, rest),
                }
            }
        }
        if next.is_empty() {
            return Find { length: 0, is_live };
        }
        places = next;
    }
    Find { length: places.into_iter().max().unwrap_or(0), is_live }
}

/// Is what is there the beginning of this spelling?
fn begins(spelling: &Spelling, rest: &[u8]) -> bool {
    let beginning = spelling.bytes.get(..rest.len()).unwrap_or_default();
    if spelling.any_case { beginning.eq_ignore_ascii_case(rest) } else { beginning == rest }
}

/// Plain, per cent, JSON (RFC 8259, with the short escapes) and, for what HTML encoders touch, entities.
///
/// Encoders disagree on which characters they escape, so every character may appear in every way.
fn ways_to_write(character: char) -> Character {
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).as_bytes().to_vec();
    let per_cent = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let mut units = [0; 2];
    let json = character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    let mut ways = vec![Spelling::exact(bytes), Spelling::any_case(per_cent), Spelling::any_case(json)];
    let short: &[&str] = match character {
        ' ' => &["+"],
        '"' => &["\\\"", "&quot;", "&#34;"],
        '\\' => &["\\\\"],
        '/' => &["\\/"],
        '\n' => &["\\n", "\r\n"],
        '\t' => &["\\t"],
        '\r' => &["\\r"],
        '&' => &["&amp;"],
        '<' => &["&lt;"],
        '>' => &["&gt;"],
        '\'' => &["&#39;", "&#x27;", "&apos;"],
        _ => &[],
    };
    ways.extend(short.iter().map(|way| Spelling::exact(*way)));
    ways
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How many characters of a base64 form have to stand before a line break inside it counts as a wrap. With fewer,
/// the last letter of almost any line could be a beginning, and lines would be held back.
const BEFORE_A_WRAP: usize = 4;

/// The characters of a base64 text that hold bits of `bytes`, where those begin `offset` bytes into a group of
/// three, without the first `missing` ones. A character at an edge that shares its six bits with a neighbour may be
/// any that fits.
fn base64(bytes: &[u8], offset: usize, missing: usize) -> Pattern {
    // One entry per bit of the text: known, or the neighbour's.
    let mut bits: Vec<Option<bool>> = vec![None; offset * 8];
    bits.extend(bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| Some(byte >> bit & 1 == 1))));
    bits.resize(bits.len().next_multiple_of(6), None);
    let mut pattern = Pattern::new();
    for six in bits.chunks(6).filter(|six| six.iter().any(Option::is_some)).skip(missing) {
        let mut ways = Character::new();
        for (value, letter) in (0u8..).zip(ALPHABET) {
            let fits = six
                .iter()
                .zip((0..6).rev())
                .all(|(bit, place)| bit.is_none_or(|bit| (value >> place & 1 == 1) == bit));
            if !fits {
                continue;
            }
            for letter in [Some(*letter), url_safe(*letter)].into_iter().flatten() {
                ways.push(Spelling::exact([letter]));
                if pattern.len() >= BEFORE_A_WRAP {
                    // `base64` and PEM wrap their lines; a JSON text shows the wrap as two characters.
                    ways.push(Spelling::exact([b'\n', letter]));
                    ways.push(Spelling::exact([b'\r', b'\n', letter]));
                    ways.push(Spelling::exact([b'\\', b'n', letter]));
                }
            }
            match letter {
                b'+' => ways.push(Spelling::any_case("%2b".to_owned())),
                b'/' => ways.extend([Spelling::any_case("%2f".to_owned()), Spelling::exact(*b"\\/")]),
                _ => {}
            }
        }
        pattern.push(ways);
    }
    pattern
}

fn url_safe(letter: u8) -> Option<u8> {
    match letter {
        b'+' => Some(b'-'),
        b'/' => Some(b'_'),
        _ => None,
    }
}
