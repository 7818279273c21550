//! What a run looks like from afar: one word, one sign and one colour each, so that nobody has to see colours.

use crate::outcome::{Status, VerdictWord};
use crate::result::RunState;

/// What a run, a tier or a check looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Face {
    /// It passed.
    Pass,
    /// The recipe is red.
    Fail,
    /// Our fault or the world's: nothing is said of the recipe.
    Trouble,
    /// Not allowed to run.
    Refused,
    /// Ended by a person.
    Cancelled,
    /// It should have been looked at and was not.
    Unverified,
    /// It has no meaning here.
    NotApplicable,
    /// It is under way.
    Running,
    /// Its owner died before it had a verdict.
    Interrupted,
    /// Its result cannot be read.
    Unreadable,
    /// There was no run.
    NoRun,
}

impl Face {
    /// Every face.
    pub const ALL: [Self; 11] = [
        Self::Pass,
        Self::Fail,
        Self::Trouble,
        Self::Refused,
        Self::Cancelled,
        Self::Unverified,
        Self::NotApplicable,
        Self::Running,
        Self::Interrupted,
        Self::Unreadable,
        Self::NoRun,
    ];

    /// The face of a run.
    #[must_use]
    pub fn of_run(state: RunState, verdict: Option<VerdictWord>) -> Self {
        match (verdict, state) {
            (Some(VerdictWord::Pass), _) => Self::Pass,
            (Some(VerdictWord::Fail), _) => Self::Fail,
            (Some(VerdictWord::Trouble), _) => Self::Trouble,
            (Some(VerdictWord::Refused), _) => Self::Refused,
            (Some(VerdictWord::Cancelled), _) => Self::Cancelled,
            (None, RunState::Running) => Self::Running,
            // A run that ended without a verdict has none: it is no green one.
            (None, RunState::Interrupted | RunState::Finished) => Self::Interrupted,
        }
    }

    /// The face of a tier or check.
    #[must_use]
    pub fn of_status(status: Status) -> Self {
        match status {
            Status::Pass => Self::Pass,
            Status::Fail => Self::Fail,
            Status::NotApplicable => Self::NotApplicable,
            Status::Unverified => Self::Unverified,
        }
    }

    /// The word that people read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Trouble => "trouble",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Unverified => "unverified",
            Self::NotApplicable => "not applicable",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Unreadable => "unreadable",
            Self::NoRun => "no run yet",
        }
    }

    /// The key used for style classes and labels of metrics.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::NotApplicable => "not_applicable",
            Self::NoRun => "no_run",
            Self::Pass
            | Self::Fail
            | Self::Trouble
            | Self::Refused
            | Self::Cancelled
            | Self::Unverified
            | Self::Running
            | Self::Interrupted
            | Self::Unreadable => self.word(),
        }
    }

    /// The sign beside the word; no two faces share one.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Pass => "✓",
            Self::Fail => "✗",
            Self::Trouble => "!",
            Self::Refused => "⊘",
            Self::Cancelled => "■",
            Self::Unverified => "?",
            Self::NotApplicable => "–",
            Self::Running => "▶",
            Self::Interrupted => "…",
            Self::Unreadable => "¿",
            Self::NoRun => "○",
        }
    }

    /// The colour behind white text; every one has a contrast to white of at least 4.5 (WCAG 2.1, 1.4.3).
    #[must_use]
    pub fn colour(self) -> &'static str {
        match self {
            Self::Pass => "#1a7f37",
            Self::Fail => "#b3261e",
            Self::Trouble => "#8a5a00",
            Self::Refused => "#6f3aa8",
            Self::Cancelled | Self::NotApplicable | Self::NoRun => "#5f6368",
            Self::Unverified => "#31667d",
            Self::Running => "#1558b0",
            Self::Interrupted => "#7a4a3a",
            Self::Unreadable => "#3c4043",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Relative luminance as WCAG 2.1 defines it.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    #[test]
    fn white_text_can_be_read_on_every_colour() {
        for face in Face::ALL {
            let contrast = 1.05 / (luminance(face.colour()) + 0.05);
            assert!(contrast >= 4.5, "{}: {contrast:.2}", face.word());
        }
    }

    #[test]
    fn faces_differ_without_colour() {
        assert_eq!(Face::ALL.iter().map(|face| face.sign()).collect::<BTreeSet<_>>().len(), Face::ALL.len());
        assert_eq!(Face::ALL.iter().map(|face| face.word()).collect::<BTreeSet<_>>().len(), Face::ALL.len());
    }

    #[test]
    fn trouble_unverified_and_refused_are_neither_red_nor_green() {
        for face in [Face::Trouble, Face::Unverified, Face::Refused] {
            assert!(![Face::Pass.colour(), Face::Fail.colour()].contains(&face.colour()));
        }
    }

    #[test]
    fn a_run_without_a_verdict_is_never_green() {
        for state in [RunState::Running, RunState::Finished, RunState::Interrupted] {
            assert_ne!(Face::of_run(state, None), Face::Pass);
        }
    }
}
