//! Pictures made of text: the badge of a recipe and the card of a run, both SVG without anything from outside.

use crate::dashboard::{Face, Summary, seconds};
use crate::names::Recipe;
use crate::outcome::VerdictWord;

/// A badge: two words side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    label: String,
    message: String,
    colour: &'static str,
}

impl Badge {
    /// The level of a recipe by its latest run that says something of it.
    #[must_use]
    pub fn level(summary: Option<&Summary>) -> Self {
        let Some(summary) = summary else { return Self::of("cc-ci", Face::NoRun) };
        let (face, level) = (summary.face(), summary.level);
        let message = match summary.verdict {
            Some(VerdictWord::Pass) => format!("level {level}"),
            Some(
                VerdictWord::Fail | VerdictWord::Trouble | VerdictWord::Refused | VerdictWord::Cancelled,
            ) => format!("level {level} {}", face.word()),
            None => face.word().to_owned(),
        };
        Self { label: "cc-ci".to_owned(), message, colour: summary.face().colour() }
    }

    /// The status of a recipe's latest run.
    #[must_use]
    pub fn status(face: Face) -> Self {
        Self::of("cc-ci", face)
    }

    fn of(label: &str, face: Face) -> Self {
        Self { label: label.to_owned(), message: face.word().to_owned(), colour: face.colour() }
    }

    /// The picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let (left, right) = (width(&self.label), width(&self.message));
        let (label, message, colour) = (escape(&self.label), escape(&self.message), self.colour);
        let whole = left + right;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"20\" role=\"img\" aria-label=\"{label}: {message}\">\
            <title>{label}: {message}</title>\
            <rect width=\"{whole}\" height=\"20\" rx=\"3\" fill=\"#3c4043\"/>\
            <path d=\"M{left} 0h{inner}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{inner}z\" fill=\"{colour}\"/>\
            <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\
            <text x=\"{label_at}\" y=\"14\">{label}</text><text x=\"{message_at}\" y=\"14\">{message}</text></g></svg>\n",
            inner = right - 3,
            label_at = left / 2,
            message_at = left + right / 2,
        )
    }

    /// The same for badge services, in the form that shields.io reads (<https://shields.io/badges/endpoint-badge>).
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::json!({
            "schemaVersion": 1, "label": self.label, "message": self.message, "color": self.colour,
        })
        .to_string()
    }
}

/// The card of a run: recipe, level, verdict, tiers with their seconds.
#[must_use]
pub fn card(recipe: &Recipe, summary: &Summary) -> String {
    use std::fmt::Write as _;
    let face = summary.face();
    let mut tiers = String::new();
    for (index, tier) in summary.tiers.iter().enumerate() {
        let (face, y) = (Face::of_status(tier.status), 92 + index * 22);
        let _ = write!(
            tiers,
            "<text x=\"24\" y=\"{y}\" fill=\"{colour}\" font-weight=\"bold\">{sign}</text>\
            <text x=\"46\" y=\"{y}\">{name}</text><text x=\"160\" y=\"{y}\">{word}</text>\
            <text x=\"416\" y=\"{y}\" text-anchor=\"end\">{time}</text>",
            colour = face.colour(),
            sign = face.sign(),
            name = tier.tier,
            word = face.word(),
            time = escape(&seconds(tier.seconds)),
        );
    }
    let height = 92 + summary.tiers.len() * 22;
    let (name, word, colour) = (escape(recipe.as_str()), face.word(), face.colour());
    let level = summary.level;
    // A recipe's name may have 64 letters: it is pressed into the card rather than cut.
    let squeeze = if name.len() > 26 { " textLength=\"260\" lengthAdjust=\"spacingAndGlyphs\"" } else { "" };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"440\" height=\"{height}\" role=\"img\" aria-label=\"{name}: {word}, level {level}\">\
        <title>{name}: {word}, level {level}</title>\
        <rect x=\"0.5\" y=\"0.5\" width=\"439\" height=\"{inner}\" rx=\"8\" fill=\"#fff\" stroke=\"#c4c7c5\"/>\
        <rect x=\"300\" y=\"18\" width=\"116\" height=\"28\" rx=\"14\" fill=\"{colour}\"/>\
        <g font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"13\" fill=\"#1f1f1f\">\
        <text x=\"24\" y=\"38\" font-size=\"18\" font-weight=\"bold\"{squeeze}>{name}</text>\
        <text x=\"358\" y=\"37\" fill=\"#fff\" text-anchor=\"middle\">{word}</text>\
        <text x=\"24\" y=\"62\">level {level} of 5</text>{tiers}</g></svg>\n",
        inner = height - 1,
    )
}

/// Width of a field in pixels: letters of Verdana 11 are 7 wide on average, and 5 are left free on each side.
fn width(text: &str) -> usize {
    text.chars().count() * 7 + 10
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML 1.0 has no way to write these.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_badge_of_nothing_says_so() {
        let badge = Badge::level(None);
        assert!(badge.svg().contains("no run yet"), "{}", badge.svg());
        assert!(badge.json().contains("\"message\":\"no run yet\""), "{}", badge.json());
    }

    proptest! {
        #[test]
        fn no_text_opens_an_element_in_a_picture(text in "\\PC{0,20}|[<>&\"'\\x00-\\x1f]{0,8}|<script>alert\\(1\\)</script>") {
            let badge = Badge { label: text.clone(), message: text, colour: "#000000" };
            let svg = badge.svg();
            let opened: Vec<&str> = svg.split('<').skip(1).filter_map(|part| part.split([' ', '>', '/']).next()).filter(|name| !name.is_empty()).collect();
            prop_assert_eq!(opened, ["svg", "title", "rect", "path", "g", "text", "text"]);
        }
    }
}
