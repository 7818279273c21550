//! Compares what was seen with what a check expects; the first difference is named.

use cc_ci_model::names::quoted;
use cc_ci_model::recipe_toml::{ExecLook, HttpLook, Placeholders};

use crate::hands::Executed;
use crate::http::Answer;

pub(super) fn of_answer(look: &HttpLook, values: &Placeholders<'_>, answer: &Answer) -> Result<(), String> {
    let asked = format!("{} {}", look.method.as_str(), look.path);
    if !look.status.iter().any(|status| status.get() == answer.status) {
        let expected: Vec<String> = look.status.iter().map(|status| status.get().to_string()).collect();
        return Err(format!("{asked} answers {}, expected {}", answer.status, expected.join(" or ")));
    }
    if let Some(start) = look.location.as_deref().map(|text| values.fill(text)) {
        match answer.header("location") {
            Some(location) if location.starts_with(&start) => {}
            Some(location) => {
                return Err(format!(
                    "{asked} redirects to {}, expected {}",
                    quoted(location),
                    quoted(&start)
                ));
            }
            None => return Err(format!("{asked} redirects nowhere, expected {}", quoted(&start))),
        }
    }
    let text = answer.text();
    missing(&look.contains, values, &text).map_or(Ok(()), |part| {
        let cut = if answer.is_cut { " in its first MiB" } else { "" };
        Err(format!("the answer to {asked} does not contain {part}{cut}"))
    })?;
    if look.json.is_empty() {
        return Ok(());
    }
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("the answer to {asked} is not JSON: {error}"))?;
    for (pointer, expected) in &look.json {
        let mut expected =
            serde_json::to_value(expected).map_err(|error| format!("value of {pointer}: {error}"))?;
        if let serde_json::Value::String(text) = &mut expected {
            *text = values.fill(text);
        }
        match json.pointer(pointer) {
            Some(value) if *value == expected => {}
            Some(value) => {
                let (value, expected) = (quoted(&value.to_string()), quoted(&expected.to_string()));
                return Err(format!("{pointer} in the answer to {asked} is {value}, expected {expected}"));
            }
            None => return Err(format!("there is no {pointer} in the answer to {asked}")),
        }
    }
    Ok(())
}

pub(super) fn of_command(look: &ExecLook, values: &Placeholders<'_>, done: &Executed) -> Result<(), String> {
    let what = format!("{} in {}", look.command[0], look.service);
    let last = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| format!(": {}", quoted(line)))
    };
    if done.exit != i32::from(look.exit) {
        let why = last(&done.stderr).or_else(|| last(&done.stdout)).unwrap_or_default();
        return Err(format!("{what} ended with {}, expected {}{why}", done.exit, look.exit));
    }
    let text = String::from_utf8_lossy(&done.stdout);
    missing(&look.contains, values, &text).map_or(Ok(()), |part| {
        Err(format!(
            "{what} did not print {part}, but{}",
            last(&done.stdout).unwrap_or_else(|| " nothing".to_owned())
        ))
    })
}

/// The first expected text that is not there, quoted.
fn missing(expected: &[String], values: &Placeholders<'_>, text: &str) -> Option<String> {
    expected
        .iter()
        .map(|part| values.fill(part))
        .find(|part| !text.contains(part.as_str()))
        .map(|part| quoted(&part))
}
