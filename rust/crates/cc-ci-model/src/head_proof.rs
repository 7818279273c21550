//! Proof by label that the commit under test is the one that runs.

use crate::names::CommitSha;

/// Why the deployed commit is not proven to be head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadMismatch {
    /// The service carries no commit label at all.
    #[error(
        "the service has no label coop-cloud.<stack>.chaos-version: it was not deployed from a work tree"
    )]
    Missing,
    /// The label names another commit or has a form nobody writes.
    #[error("the service runs {deployed}, expected {head}")]
    Other {
        /// What the label says, quoted.
        deployed: String,
        /// First eight digits of the expected commit.
        head: String,
    },
}

/// Whether the label `coop-cloud.<stack>.chaos-version` names `head`. Exactly one trailing `+U` (untracked or
/// changed files in the checkout, abra.md 3.3) is dropped; the rest must be at least 8 hex digits and a
/// prefix of the commit.
///
/// # Errors
/// [`HeadMismatch`] when the label is missing, names another commit or has any other suffix.
pub fn proves_head(label: Option<&str>, head: &CommitSha) -> Result<(), HeadMismatch> {
    let label = label.ok_or(HeadMismatch::Missing)?;
    let digits = label.strip_suffix("+U").unwrap_or(label);
    if digits.len() >= 8 && head.as_str().starts_with(digits) {
        Ok(())
    } else {
        Err(HeadMismatch::Other { deployed: crate::names::quoted(label), head: head.short().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_proof_accepts_the_dirty_suffix_and_nothing_else() {
        let head = CommitSha::parse("7ae7b0f7aa11223344556677889900aabbccddee").unwrap();
        for good in ["7ae7b0f7", "7ae7b0f7+U", "7ae7b0f7aa11", "7ae7b0f7aa11223344556677889900aabbccddee+U"] {
            assert_eq!(proves_head(Some(good), &head), Ok(()), "{good}");
        }
        assert_eq!(proves_head(None, &head), Err(HeadMismatch::Missing));
        for bad in
            ["", "+U", "7ae7b0f", "7ae7b0f7+U+U", "7ae7b0f7-dirty", "8ae7b0f7", "7AE7B0F7", "7ae7b0f7 "]
        {
            assert!(proves_head(Some(bad), &head).is_err(), "{bad}");
        }
    }
}
