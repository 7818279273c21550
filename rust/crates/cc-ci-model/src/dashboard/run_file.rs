//! Which files of a run's folder anybody may read, by name; everything else does not exist for readers.

use crate::tier::Tier;

/// A file of a run that may be shown. A value that exists leads to no other folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunFile {
    /// `result.json`.
    Result,
    /// `log.txt`.
    Log,
    /// `events.jsonl`.
    Events,
    /// `screenshot.png`.
    Screenshot,
    /// `card.svg`.
    CardSvg,
    /// `card.png`.
    CardPng,
    /// `tiers/<tier>/<name>`: output of a check, or logs of a container.
    Tier(Tier, String),
}

const TOP: [(&str, RunFile); 6] = [
    ("result.json", RunFile::Result),
    ("log.txt", RunFile::Log),
    ("events.jsonl", RunFile::Events),
    ("screenshot.png", RunFile::Screenshot),
    ("card.svg", RunFile::CardSvg),
    ("card.png", RunFile::CardPng),
];

impl RunFile {
    /// The file of that path below the run's folder; none if it is not to be shown.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if let Some((_, file)) = TOP.iter().find(|(name, _)| *name == path) {
            return Some(file.clone());
        }
        let (tier, name) = path.strip_prefix("tiers/")?.split_once('/')?;
        let tiers = Tier::PLANNABLE.into_iter().chain([Tier::Teardown]);
        let tier = tiers.into_iter().find(|known| known.word() == tier)?;
        is_plain(name).then(|| Self::Tier(tier, name.to_owned()))
    }

    /// Its path as parts, none of which is empty, `.`, `..` or holds a slash.
    #[must_use]
    pub fn parts(&self) -> Vec<&str> {
        match self {
            Self::Tier(tier, name) => vec!["tiers", tier.word(), name],
            Self::Result => vec!["result.json"],
            Self::Log => vec!["log.txt"],
            Self::Events => vec!["events.jsonl"],
            Self::Screenshot => vec!["screenshot.png"],
            Self::CardSvg => vec!["card.svg"],
            Self::CardPng => vec!["card.png"],
        }
    }

    /// How a browser is told to read it. Recipe output is plain text, whatever its name says.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Result => "application/json",
            Self::Screenshot | Self::CardPng => "image/png",
            Self::CardSvg => "image/svg+xml",
            Self::Log | Self::Events | Self::Tier(..) => "text/plain; charset=utf-8",
        }
    }
}

fn is_plain(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+@".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_listed_names_are_files_of_a_run() {
        for path in ["result.json", "log.txt", "tiers/lint/lint.txt", "tiers/upgrade/a_b.1.x.log"] {
            assert_eq!(RunFile::parse(path).unwrap().parts().join("/"), path);
        }
        for path in [
            "",
            "/etc/passwd",
            "../x/result.json",
            "abra/servers/default/x.env",
            "state/deploys.jsonl",
            "tiers/lint/../../abra/x",
            "tiers/lint/..",
            "tiers/lint/.env",
            "tiers/lint/",
            "tiers//x",
            "tiers/nothing/x",
            "tiers/lint/a/b",
            "tiers/lint/a\0b",
            "result.json/",
            "RESULT.JSON",
        ] {
            assert_eq!(RunFile::parse(path), None, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leads_out_of_the_folder(path in "(tiers/|\\.\\./|lint/|[a-z./\\\\%\\x00]{0,6}){0,5}") {
            if let Some(file) = RunFile::parse(&path) {
                for part in file.parts() {
                    prop_assert!(!part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0', '\\']));
                }
                prop_assert_eq!(file.parts().join("/"), path);
            }
        }
    }
}
