//! The exit statuses of every program of the project, in one enum.

use std::process::{ExitCode, Termination};

/// How a program ends; the only way out of `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitStatus {
    /// What was asked for is done; for a run: the recipe passed.
    Good = 0,
    /// The recipe is red.
    Red = 1,
    /// Our fault, or that of something we depend on: no verdict about the recipe.
    Trouble = 2,
    /// Refused: the compose gate, or a right that is missing.
    Refused = 3,
    /// A bad argument or parameter (`EX_USAGE` of `sysexits.h`).
    Usage = 64,
    /// The run's hard deadline passed (128 + `SIGALRM`, what a shell shows for an alarm).
    Deadline = 142,
    /// Cancelled by TERM, INT or a cancel request (128 + `SIGTERM`).
    Cancelled = 143,
}

impl ExitStatus {
    /// Every status there is, in the order of its number.
    pub const ALL: [Self; 7] =
        [Self::Good, Self::Red, Self::Trouble, Self::Refused, Self::Usage, Self::Deadline, Self::Cancelled];

    /// The number the operating system gets.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The status a number stands for; `None` for numbers that no program of ours returns.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|status| i32::from(status.code()) == code)
    }

    /// One or two words for people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Red => "red",
            Self::Trouble => "trouble",
            Self::Refused => "refused",
            Self::Usage => "wrong usage",
            Self::Deadline => "deadline passed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Termination for ExitStatus {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        status.report()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_comes_back_from_its_number_and_no_other_number_means_one() {
        let known: Vec<i32> = (-1..=256).filter(|code| ExitStatus::from_code(*code).is_some()).collect();
        assert_eq!(known, [0, 1, 2, 3, 64, 142, 143]);
        for status in ExitStatus::ALL {
            assert_eq!(ExitStatus::from_code(i32::from(status.code())), Some(status));
        }
    }
}
