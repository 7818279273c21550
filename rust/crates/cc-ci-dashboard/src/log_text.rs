//! A log as a page: lines with anchors, colours of a terminal as classes, and no other control character.

use maud::{Markup, html};

/// Lines as HTML, numbered from `first`.
pub(crate) fn lines(text: &str, first: usize) -> Markup {
    html! { pre.log { (bare_lines(text, first)) } }
}

/// The same without the frame, to be added to lines that are there.
pub(crate) fn bare_lines(text: &str, first: usize) -> Markup {
    html! {
        @for (index, line) in text.lines().enumerate() {
            @let number = first + index;
            span.line id={ "L" (number) } {
                a.number href={ "#L" (number) } { (number) }
                @for (class, part) in pieces(line) {
                    @if class.is_empty() { (part) } @else { span class=(class) { (part) } }
                }
                "\n"
            }
        }
    }
}

/// The parts of a line with the class each is shown in.
fn pieces(line: &str) -> Vec<(&'static str, String)> {
    let mut pieces = vec![("", String::new())];
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\x1b' {
            if (!c.is_control() || c == '\t')
                && let Some(last) = pieces.last_mut()
            {
                last.1.push(c);
            }
            continue;
        }
        match rest.next() {
            Some('[') => {
                let mut parameters = String::new();
                let mut end = None;
                for c in rest.by_ref() {
                    if ('\x40'..='\x7e').contains(&c) {
                        end = Some(c);
                        break;
                    }
                    parameters.push(c);
                }
                if end == Some('m') {
                    pieces.push((class(&parameters), String::new()));
                }
            }
            // A title or a link of the terminal: up to BEL or ESC \.
            Some(']') => {
                while let Some(c) = rest.next() {
                    if c == '\x07' || (c == '\x1b' && rest.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            Some(_) | None => {}
        }
    }
    pieces.retain(|(_, text)| !text.is_empty());
    pieces
}

/// The last colour or weight that a sequence asks for; everything else is plain text.
fn class(parameters: &str) -> &'static str {
    parameters.split(';').fold("", |class, parameter| match parameter {
        "1" => "bold",
        "2" => "dim",
        "31" | "91" => "ansi-red",
        "32" | "92" => "ansi-green",
        "33" | "93" => "ansi-yellow",
        "34" | "36" | "94" | "96" => "ansi-blue",
        "35" | "95" => "ansi-violet",
        "" | "0" | "39" => "",
        _ => class,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_classes_and_other_sequences_vanish() {
        let shown = lines("\x1b[32mpass\x1b[0m \x1b]0;title\x07x\x1b[2K\x08<script>\nlast", 7).into_string();
        assert!(shown.contains("<span class=\"ansi-green\">pass</span> x&lt;script&gt;"), "{shown}");
        assert!(
            shown.contains("id=\"L8\"") && !shown.contains('\x1b') && !shown.contains("title"),
            "{shown}"
        );
    }

    #[test]
    fn sequences_that_are_cut_off_end_with_the_line() {
        for text in ["\x1b", "\x1b[", "\x1b[31", "\x1b]0;x", "a\x1b[31mb\x1b["] {
            let shown = lines(text, 1).into_string();
            assert!(shown.contains("id=\"L1\"") && !shown.contains('\x1b'), "{shown}");
        }
    }
}
