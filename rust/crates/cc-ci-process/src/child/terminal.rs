//! A terminal for programs that want one, and its control codes taken out of what they write.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr};
use pty_process::blocking::{Pts, open};
use tokio::net::unix::pipe;

use super::spec::TerminalSize;

/// What ends the input on a terminal (control-D).
pub(super) const END_OF_INPUT: &[u8] = &[4];

/// Our end of a terminal, for reading and for writing, and the child's.
pub(super) struct Terminal {
    pub(super) reader: pipe::Receiver,
    pub(super) writer: pipe::Sender,
    pub(super) child: Pts,
}

/// Opens a terminal of that size. It does not repeat what is typed and leaves line ends as they are.
pub(super) fn open_terminal(size: TerminalSize) -> io::Result<Terminal> {
    let plain = |error: pty_process::Error| io::Error::other(error.to_string());
    let (ours, child) = open().map_err(plain)?;
    ours.resize(pty_process::Size::new(size.rows, size.columns)).map_err(plain)?;
    // Linux keeps one set of modes for both ends, so they can be set from here.
    let mut modes = tcgetattr(ours.as_fd())?;
    modes.local_flags.remove(LocalFlags::ECHO);
    modes.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(ours.as_fd(), SetArg::TCSANOW, &modes)?;
    let flags = OFlag::from_bits_retain(fcntl(ours.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(ours.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    let reading: OwnedFd = ours.into();
    let writing = reading.try_clone()?;
    // Unchecked, because it is no pipe; it reads, writes and polls like one.
    let reader = pipe::Receiver::from_owned_fd_unchecked(reading)?;
    let writer = pipe::Sender::from_owned_fd_unchecked(writing)?;
    Ok(Terminal { reader, writer, child })
}

/// Takes escape sequences (ECMA-48) and other control characters out of a stream; tabs and line ends stay.
#[derive(Default)]
pub(super) struct ControlCodes {
    place: Place,
}

#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Text,
    /// Behind an escape character.
    Escape,
    /// In a control sequence, which ends with a letter or one of `@[\]^_{|}~` and the back-tick.
    Control,
    /// In a string such as a window title, which ends with a bell or with escape and backslash.
    String,
    /// Behind an escape character in such a string.
    StringEscape,
}

impl ControlCodes {
    pub(super) fn strip(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.place = match (self.place, *byte) {
                (Place::Text, 0x1b) => Place::Escape,
                (Place::Text, byte) => {
                    if matches!(byte, b'\n' | b'\r' | b'\t') || (byte >= 0x20 && byte != 0x7f) {
                        text.push(byte);
                    }
                    Place::Text
                }
                (Place::Escape, b'[') => Place::Control,
                (Place::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Place::String,
                // An intermediate byte, as in the choice of a character set.
                (Place::Escape, 0x20..=0x2f) => Place::Escape,
                (Place::Escape, _) => Place::Text,
                (Place::Control, 0x40..=0x7e) => Place::Text,
                (Place::Control, 0x1b) => Place::Escape,
                (Place::Control, _) => Place::Control,
                (Place::String, 0x07) => Place::Text,
                (Place::String, 0x1b) => Place::StringEscape,
                (Place::String, _) => Place::String,
                (Place::StringEscape, b'\\') => Place::Text,
                (Place::StringEscape, _) => Place::String,
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CODED: &str = "\u{1b}]0;title\u{7}\u{1b}[1;31mrot\u{1b}[0m\t\u{1b}(Bü\u{8}\u{1b}]8;;http://x\u{1b}\\\u{1b}[?25l\u{1b}7.\r\n";

    #[test]
    fn control_codes_go_and_words_stay() {
        assert_eq!(ControlCodes::default().strip(CODED.as_bytes()), "rot\tü.\r\n".as_bytes());
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_makes_no_difference(cut in 0..=CODED.len()) {
            let (first, second) = CODED.as_bytes().split_at(cut);
            let mut codes = ControlCodes::default();
            let mut text = codes.strip(first);
            text.extend(codes.strip(second));
            prop_assert_eq!(text, ControlCodes::default().strip(CODED.as_bytes()));
        }
    }
}
