//! Rules about what stands around the compose files: README, sample, `abra.sh`, tags. R007, R008, R012, R014 and C015.

use crate::compose::used::Otherwise;

use super::facts::Facts;
use super::findings::{Checked, Finding};

/// The bullets of the README's metadata (abra.md 4.7).
const BULLETS: [&str; 8] = ["Category", "Status", "Image", "Healthcheck", "Backups", "Email", "Tests", "SSO"];

const README: &str = "README.md";

/// What stands behind a bullet such as `* **Backups**: Yes`; the line without spaces around it.
#[must_use]
pub(crate) fn bullet_of<'a>(line: &'a str, bullet: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(['*', '-'])?.trim_start().strip_prefix("**")?;
    let (name, rest) = rest.split_once("**")?;
    let is_bullet = name.trim_end_matches(':').eq_ignore_ascii_case(bullet);
    is_bullet.then(|| rest.trim_start_matches(':').trim())
}

/// R007.
pub(super) fn is_filled_in(facts: &Facts<'_>) -> Checked {
    let Some(text) = facts.head.text(README) else {
        return [Finding::in_file(README, "there is no README")].into_iter().collect();
    };
    let numbered = || text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let Some((start, _)) = numbered().find(|(_, line)| *line == "<!-- metadata -->") else {
        return [Finding::in_file(README, "there is no block of metadata")].into_iter().collect();
    };
    let block: Vec<(usize, &str)> =
        numbered().skip(start).take_while(|(_, line)| *line != "<!-- endmetadata -->").collect();
    let value =
        |bullet: &str| block.iter().find_map(|(number, line)| Some((*number, bullet_of(line, bullet)?)));
    let found = BULLETS.into_iter().filter_map(|bullet| match value(bullet) {
        None => Some(Finding::in_line(README, start, format!("the metadata has no {bullet}"))),
        Some((line, "")) => Some(Finding::in_line(README, line, format!("{bullet} is empty"))),
        Some(_) => None,
    });
    found.collect()
}

/// R008.
pub(super) fn has_sample(facts: &Facts<'_>) -> Checked {
    let absent = facts.sample.is_none().then(|| Finding::in_file(".env.sample", "there is no .env.sample"));
    absent.into_iter().collect()
}

/// R012.
pub(super) fn exports_versions(facts: &Facts<'_>) -> Checked {
    let names = facts.uses.iter().flat_map(|(_, uses)| uses).filter(|it| {
        let mut parts = it.property.split('.');
        parts.next() == Some("configs") && parts.next_back() == Some("name")
    });
    let missing = names.filter(|it| {
        it.name != "STACK_NAME" && it.otherwise == Otherwise::Nothing && !facts.exports.contains_key(&it.name)
    });
    missing.map(|it| Finding::at(&it.at, format!("abra.sh does not export {}", it.name))).collect()
}

/// R014.
pub(super) fn tags_are_annotated(facts: &Facts<'_>) -> Checked {
    let Some(tags) = &facts.head.tags else {
        return Checked::Skipped("there is no git repository".to_owned());
    };
    let lightweight = tags.iter().filter(|tag| !tag.is_annotated);
    lightweight.map(|tag| Finding::nowhere(format!("the tag {} is lightweight", tag.name))).collect()
}

/// C015.
pub(super) fn sample_is_sound(facts: &Facts<'_>) -> Checked {
    let Some(sample) = &facts.sample else { return Checked::Skipped("there is no .env.sample".to_owned()) };
    let odd = sample.oddities().into_iter();
    odd.map(|oddity| Finding::in_line(".env.sample", oddity.line, oddity.what)).collect()
}
