//! Names of recipes and of their services.

use super::{NameError, string_name};

/// Name of a recipe: lower-case letters, digits and inner hyphens, 1 to 64 characters, as the
/// repositories of the coop-cloud organisation are named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recipe(String);

impl Recipe {
    /// Parses a recipe name; anything that could be an option, a path or a shell word is refused.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fine = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                "recipe name",
                text,
                "1 to 64 lower-case letters, digits and inner hyphens, e.g. custom-html",
            ))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first at most four letters or digits: the readable part of a run domain.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.chars().filter(|c| *c != '-').take(4).collect()
    }
}
string_name!(Recipe, "recipe name: lower-case letters, digits and inner hyphens");

/// Key of a service in a compose file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(String);

impl ServiceName {
    /// Parses a service key: letters, digits, `_`, `.` and `-`, 1 to 63 characters (Docker's limit for the whole name).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fine = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new("service name", text, "1 to 63 letters, digits, '_', '.' and '-'"))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
string_name!(ServiceName, "key of a service in a compose file");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_recipe_names_are_refused_with_one_clear_sentence() {
        for bad in [
            "",
            "../x",
            "-rf",
            "a b",
            "x; id",
            "a\nb",
            "UPPER",
            "a/b",
            "a.b",
            "trailing-",
            "é",
            &"x".repeat(300),
        ] {
            let error = Recipe::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("recipe name \""), "{error}");
            assert!(!error.contains('\n'), "{error:?}");
            assert!(error.chars().count() < 220, "{error}");
        }
    }

    #[test]
    fn short_form_holds_letters_and_digits_only() {
        assert_eq!(Recipe::parse("custom-html").unwrap().short(), "cust");
        assert_eq!(Recipe::parse("a-b-c").unwrap().short(), "abc");
        assert_eq!(Recipe::parse("n8n").unwrap().short(), "n8n");
    }
}
