//! Mounts in their short form (`data:/var/lib:ro`) and the paths of a recipe.

/// The folder of a recipe in everything that is printed with full paths. Compose files do not know where they lie.
pub const RECIPE_FOLDER: &str = "/recipe";

/// A mount written as one text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ShortMount {
    pub(super) is_bind: bool,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) read_only: bool,
    pub(super) no_copy: bool,
    pub(super) propagation: Option<String>,
}

/// Splits `[source:]target[:options]`; a single letter before a colon is a Windows drive, as in the CLI.
///
/// # Errors
/// A sentence fragment that says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<ShortMount, &'static str> {
    let mut mount = ShortMount::default();
    if text.is_empty() {
        return Err("is empty");
    }
    if text.len() <= 2 {
        text.clone_into(&mut mount.target);
        return Ok(mount);
    }
    let mut section = String::new();
    let mut signs = text.chars();
    loop {
        let sign = signs.next();
        let is_drive = section.chars().count() == 1 && section.chars().all(char::is_alphabetic);
        match sign {
            Some(sign) if sign != ':' || is_drive => {
                // The CLI marks the end with a zero byte, which its YAML parser never lets through.
                section.push(sign);
                continue;
            }
            _ => {}
        }
        if section.is_empty() {
            return Err("has an empty section between colons");
        }
        let section = std::mem::take(&mut section);
        let at_end = sign.is_none();
        if mount.source.is_empty() && at_end {
            mount.target = section;
        } else if mount.source.is_empty() {
            mount.source = section;
        } else if mount.target.is_empty() {
            mount.target = section;
        } else if !at_end {
            return Err("has too many colons");
        } else {
            options(&section, &mut mount);
        }
        if at_end {
            break;
        }
    }
    mount.is_bind = is_path(&mount.source);
    Ok(mount)
}

fn options(text: &str, mount: &mut ShortMount) {
    for option in text.split(',') {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "nocopy" => mount.no_copy = true,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                mount.propagation = Some(option.to_owned());
            }
            _ => {}
        }
    }
}

/// Whether the source of a short mount is a path and not the name of a volume.
fn is_path(source: &str) -> bool {
    let mut signs = source.chars();
    match (signs.next(), signs.next()) {
        (Some('.' | '/' | '~'), _) => true,
        (Some('\\'), Some('\\')) => true,
        (Some(first), Some(':')) => first.is_alphabetic(),
        _ => false,
    }
}

/// Whether a path is absolute, on Linux or on Windows.
pub(super) fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    match bytes {
        [b'/', ..] => true,
        [drive, b':', b'/' | b'\\', ..] => drive.is_ascii_alphabetic(),
        [b'\\', b'\\', server, rest @ ..] if !matches!(server, b'\\' | b'/' | b'.') => {
            // `\\server\share\…`
            let parts: Vec<&[u8]> = rest.split(|byte| matches!(byte, b'\\' | b'/')).collect();
            parts.len() >= 3
                && parts.get(1).is_some_and(|share| !share.is_empty() && share.first() != Some(&b'.'))
        }
        _ => false,
    }
}

/// A path as seen from a folder, without `.` and `..` where they can be taken away.
pub(super) fn resolve(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let joined = format!("{folder}/{path}");
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// A written path as seen from the recipe folder, if it lies inside. Absolute paths and `..` beyond the folder are none.
pub(super) fn inside_recipe(folder: &str, path: &str) -> Option<String> {
    if is_absolute(path) || path.starts_with('~') {
        return None;
    }
    let mut depth = folder.strip_prefix(RECIPE_FOLDER)?.split('/').filter(|part| !part.is_empty()).count();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            // A path that leaves the folder on the way is outside even if it comes back: what it passes is not the recipe's.
            ".." => depth = depth.checked_sub(1)?,
            _ => depth += 1,
        }
    }
    let whole = resolve(folder, path);
    whole.strip_prefix(RECIPE_FOLDER).map(|rest| rest.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_outside_the_recipe_are_found_however_they_are_written() {
        for path in ["/etc/passwd", "../x", "a/../../x", "~/x", "../recipe/x", "C:\\x"] {
            assert_eq!(inside_recipe("/recipe", path), None, "{path}");
        }
        assert_eq!(inside_recipe("/recipe/sub", "../x").as_deref(), Some("x"));
        assert_eq!(inside_recipe("/recipe", "./a//b/../c").as_deref(), Some("a/c"));
    }

    #[test]
    fn short_mounts_are_told_apart_by_their_first_sign() {
        assert!(parse("/a:/b").is_ok_and(|mount| mount.is_bind));
        assert!(parse("~/a:/b").is_ok_and(|mount| mount.is_bind));
        assert!(
            parse("data:/b:ro").is_ok_and(|mount| !mount.is_bind && mount.read_only && mount.target == "/b")
        );
        assert!(parse("data::/b").is_err());
        assert!(parse("name:/b:ro:x").is_err());
    }
}
