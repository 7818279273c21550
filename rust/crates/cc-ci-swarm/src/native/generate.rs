//! Making the value of a secret.

use cc_ci_model::secret_rules::SecretKind;
use cc_ci_process::mask::SecretValue;
use rand::seq::IndexedRandom;

const CONSONANTS: &[u8] = b"bcdfghjklmnprstvwz";
const VOWELS: &[u8] = b"aeiou";
/// Six words of three syllables of 90: 18 × log2(90) ≈ 117 bits.
const WORDS: usize = 6;

/// Draws a value from the system's random source; `None` for a secret that has to be given.
#[must_use]
pub fn generate(kind: SecretKind) -> Option<SecretValue> {
    let mut random = rand::rng();
    let text = match kind {
        SecretKind::Given => return None,
        SecretKind::Random { length, charset } => {
            let letters = charset.letters().as_bytes();
            (0..length).filter_map(|_| letters.choose(&mut random)).map(|byte| char::from(*byte)).collect()
        }
        SecretKind::Passphrase => {
            let word = |random: &mut rand::rngs::ThreadRng| {
                (0..3)
                    .flat_map(|_| [CONSONANTS.choose(random), VOWELS.choose(random)])
                    .flatten()
                    .map(|byte| char::from(*byte))
                    .collect::<String>()
            };
            (0..WORDS).map(|_| word(&mut random)).collect::<Vec<_>>().join("-")
        }
    };
    Some(SecretValue::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cc_ci_model::secret_rules::Charset;

    #[test]
    fn secrets_follow_their_rules_and_differ() {
        let hex = SecretKind::Random { length: 64, charset: Charset::Hex };
        let (one, two) = (generate(hex).unwrap(), generate(hex).unwrap());
        assert_eq!(one.expose().len(), 64);
        assert!(one.expose().bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
        assert_ne!(one.expose(), two.expose());
        let words = generate(SecretKind::Passphrase).unwrap();
        assert_eq!(words.expose().split('-').count(), 6);
        assert!(words.expose().len() >= 41);
        assert!(generate(SecretKind::Given).is_none());
    }
}
