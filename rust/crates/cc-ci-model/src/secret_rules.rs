//! How a recipe wants its secrets made: the modifiers in the trailing comment of `SECRET_<X>_VERSION=v1`.

use crate::env_file::EnvFile;

/// The letters a secret is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Letters and digits.
    Default,
    /// Lower-case hex digits.
    Hex,
    /// Letters, digits and punctuation.
    Special,
    /// Letters, digits and punctuation that needs no quoting in shells, addresses and configuration files.
    SafeSpecial,
}

impl Charset {
    /// The characters, each once.
    #[must_use]
    pub fn letters(self) -> &'static str {
        match self {
            Self::Default => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Self::Hex => "0123456789abcdef",
            Self::Special => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*_-+=",
            Self::SafeSpecial => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!@%^*_-+=",
        }
    }
}

/// What kind of value a secret gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// A passphrase of words: what a recipe gets that gives no length.
    Passphrase,
    /// A random string.
    Random {
        /// Characters.
        length: usize,
        /// Its alphabet.
        charset: Charset,
    },
    /// Left out of generation (`generate=false`): has to be given.
    Given,
}

/// One secret the `.env` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRule {
    /// The variable, e.g. `SECRET_DB_PASSWORD_VERSION`.
    pub variable: String,
    /// Its version, e.g. `v1`.
    pub version: String,
    /// How its value is made.
    pub kind: SecretKind,
}

/// A modifier that cannot be followed: the recipe's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(".env.sample, {variable}: {what}")]
pub struct SecretRuleError {
    /// The variable it stands at.
    pub variable: String,
    /// What is wrong and what would do.
    pub what: String,
}

/// Longest secret that is generated. Docker takes 500 kB; nobody needs more than this.
const LONGEST: usize = 4096;

/// Reads the rules of all active `SECRET_*_VERSION` lines (abra.md 4.4). Commented-out lines are optional secrets and
/// count only when they were made active.
///
/// # Errors
/// The first modifier with a value that cannot be followed. Unknown modifiers have no effect, as in abra.
pub fn secret_rules(env: &EnvFile) -> Result<Vec<SecretRule>, SecretRuleError> {
    let values = env.values();
    let mut rules: Vec<SecretRule> = Vec::new();
    for (variable, version) in &values {
        let is_secret = variable.starts_with("SECRET_") && variable.ends_with("_VERSION");
        let Some(entry) = env.entry(variable).filter(|_| is_secret) else { continue };
        let kind =
            kind(&entry.comment).map_err(|what| SecretRuleError { variable: variable.clone(), what })?;
        rules.push(SecretRule { variable: variable.clone(), version: version.clone(), kind });
    }
    Ok(rules)
}

fn kind(comment: &str) -> Result<SecretKind, String> {
    let (mut length, mut charset, mut given) = (None, None, false);
    for word in comment.split_whitespace() {
        match word.split_once('=') {
            Some(("length", value)) => {
                let number = value.parse::<usize>().ok().filter(|number| (1..=LONGEST).contains(number));
                length =
                    Some(number.ok_or_else(|| {
                        format!("length={} is not a number from 1 to {LONGEST}", shown(value))
                    })?);
            }
            Some(("charset", value)) => {
                charset = Some(match value {
                    "default" => Charset::Default,
                    "hex" => Charset::Hex,
                    "special" => Charset::Special,
                    "safespecial" => Charset::SafeSpecial,
                    other => {
                        return Err(format!(
                            "charset={} is unknown; known are default, hex, special, safespecial",
                            shown(other)
                        ));
                    }
                });
            }
            Some(("generate", "false")) => given = true,
            _ => {}
        }
    }
    Ok(match (given, length, charset) {
        (true, _, _) => SecretKind::Given,
        (false, None, None) => SecretKind::Passphrase,
        (false, length, charset) => {
            SecretKind::Random { length: length.unwrap_or(32), charset: charset.unwrap_or(Charset::Default) }
        }
    })
}

fn shown(value: &str) -> String {
    crate::names::quoted(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_decide_how_a_secret_is_made() {
        let env = EnvFile::parse(
            "SECRET_A_VERSION=v1\nSECRET_B_VERSION=v2 # length=64 charset=hex\nSECRET_C_VERSION=v1 # generate=false\n\
             #SECRET_D_VERSION=v1\nSECRET_E_VERSION=v1 # charset=special a note\nOTHER_VERSION=v1 # length=3\n",
        );
        let rules = secret_rules(&env).unwrap();
        let kinds: Vec<_> = rules.iter().map(|rule| (rule.variable.as_str(), rule.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("SECRET_A_VERSION", SecretKind::Passphrase),
                ("SECRET_B_VERSION", SecretKind::Random { length: 64, charset: Charset::Hex }),
                ("SECRET_C_VERSION", SecretKind::Given),
                ("SECRET_E_VERSION", SecretKind::Random { length: 32, charset: Charset::Special }),
            ]
        );
    }

    #[test]
    fn a_modifier_that_cannot_be_followed_names_its_variable() {
        for bad in ["length=0", "length=x", "length=99999999999999999999", "charset=klingon"] {
            let env = EnvFile::parse(&format!("SECRET_A_VERSION=v1 # {bad}\n"));
            let message = secret_rules(&env).unwrap_err().to_string();
            assert!(message.starts_with(".env.sample, SECRET_A_VERSION: "), "{message}");
        }
    }

    #[test]
    fn alphabets_hold_each_letter_once() {
        for charset in [Charset::Default, Charset::Hex, Charset::Special, Charset::SafeSpecial] {
            let mut letters: Vec<char> = charset.letters().chars().collect();
            letters.sort_unstable();
            letters.dedup();
            assert_eq!(letters.len(), charset.letters().len());
        }
    }
}
