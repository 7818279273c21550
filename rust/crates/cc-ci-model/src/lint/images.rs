//! Rules about images: R003 to R005.

use crate::names::quoted;

use super::facts::Facts;
use super::findings::{Checked, Finding};

/// Tags that name another image tomorrow.
const MOVING: [&str; 12] = [
    "latest", "main", "master", "stable", "edge", "dev", "develop", "nightly", "next", "unstable", "rolling",
    "testing",
];

/// The tag of an image reference; `None` without one. A digest is as good as a tag, and says no version.
enum Pin<'a> {
    None,
    Tag(&'a str),
    Digest,
}

fn pin(image: &str) -> Pin<'_> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    match (last.split_once(':'), digest) {
        (Some((_, tag)), _) if !tag.is_empty() => Pin::Tag(tag),
        (_, Some(_)) => Pin::Digest,
        _ => Pin::None,
    }
}

fn each(facts: &Facts<'_>, judge: impl Fn(&str) -> Option<String>) -> Checked {
    facts.in_each_view(|compose| {
        let found = compose.images().into_iter().filter_map(|(service, image, at)| {
            let what = judge(&image)?;
            Some(Finding::at(&at, format!("service {service}: the image {} {what}", quoted(&image))))
        });
        found.collect::<Vec<_>>()
    })
}

/// R003.
pub(super) fn are_tagged(facts: &Facts<'_>) -> Checked {
    each(facts, |image| matches!(pin(image), Pin::None).then(|| "has no tag".to_owned()))
}

/// R004.
pub(super) fn are_pinned(facts: &Facts<'_>) -> Checked {
    each(facts, |image| match pin(image) {
        Pin::Tag(tag) if MOVING.contains(&tag.to_ascii_lowercase().as_str()) => {
            Some(format!("has the moving tag {tag}"))
        }
        _ => None,
    })
}

/// R005.
pub(super) fn resemble_versions(facts: &Facts<'_>) -> Checked {
    each(facts, |image| match pin(image) {
        Pin::Tag(tag) if !is_like_a_version(tag) => Some(format!("has the tag {tag}, which is no version")),
        _ => None,
    })
}

/// Digits with dots between them, perhaps after a `v`, perhaps with a suffix: `16`, `v1.2.3`, `1.27.3-alpine`.
fn is_like_a_version(tag: &str) -> bool {
    let bare = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    let number = bare.split(['-', '_', '+']).next().unwrap_or_default();
    let mut pieces = number.split('.');
    pieces.next().is_some_and(|piece| !piece.is_empty() && piece.bytes().all(|b| b.is_ascii_digit()))
        && pieces.all(|piece| piece.bytes().next().is_some_and(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_resemble_versions_are_told_from_others() {
        for good in ["16", "16.4", "v1.2.3", "1.27.3-alpine", "2024.1.0", "10.11-bookworm", "1.2.3rc1"] {
            assert!(is_like_a_version(good), "{good}");
        }
        for bad in ["latest", "alpine", "sha-1234", "v", "release-1.2", ".1", "1..2", "a1"] {
            assert!(!is_like_a_version(bad), "{bad}");
        }
    }
}
