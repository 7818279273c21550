//! Where a redirect leads: to the app itself, or to somebody else.

/// A `Location` header as its reader follows it, as far as two of them can be compared: without scheme, which depends on how
/// the app was asked, and without the values of its parameters, which are often tokens of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Host and port in lower case, `None` for the host that was asked.
    host: Option<String>,
    path: String,
    /// Names of the parameters, in their order.
    parameters: Vec<String>,
    fragment: String,
}

impl Target {
    /// Reads a location that came from `domain`.
    pub(super) fn read(location: &str, domain: &str) -> Self {
        let location = location.trim();
        // Browsers take a backslash for a slash, and two of them for the begin of a host (WHATWG URL, special schemes).
        let location = location.replace('\\', "/");
        let absolute =
            location.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).map(|(_, rest)| rest);
        let (host, rest) = match absolute.or_else(|| location.strip_prefix("//")) {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", location.as_str()),
        };
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parameters = query.split('&').filter(|pair| !pair.is_empty());
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        Self {
            host: Some(without_usual_port(host))
                .filter(|host| !host.is_empty() && *host != domain.to_lowercase()),
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            parameters: parameters.map(name).collect(),
            fragment: fragment.split(['?', '=', '&']).next().unwrap_or_default().to_owned(),
        }
    }

    /// The host it leads to where that is not the app's own.
    pub(super) fn foreign_host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.host.as_deref().unwrap_or_default(), self.path)?;
        if !self.parameters.is_empty() {
            write!(f, "?{}", self.parameters.join("&"))?;
        }
        if self.fragment.is_empty() { Ok(()) } else { write!(f, "#{}", self.fragment) }
    }
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ['+', '-', '.'].contains(&c))
}

/// The host in lower case; a name before an `@` is for login and no host.
fn without_usual_port(authority: &str) -> String {
    let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let bare = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80"));
    bare.map_or(host.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "cust-c95a69.ci.example";

    fn host(location: &str) -> Option<String> {
        Target::read(location, OWN).foreign_host().map(str::to_owned)
    }

    #[test]
    fn redirects_to_oneself_are_told_from_those_to_others() {
        for own in [
            "/login",
            "login?next=//x.example/",
            "https://cust-c95a69.ci.example/login",
            "http://CUST-C95A69.ci.example:80",
            "//cust-c95a69.ci.example:443/",
            "",
            "?a=https://x.example",
        ] {
            assert_eq!(host(own), None, "{own}");
        }
        for (location, other) in [
            ("http://localhost/", "localhost"),
            ("http://localhost:8080/login", "localhost:8080"),
            ("https://127.0.0.1/", "127.0.0.1"),
            ("//x.example/login", "x.example"),
            ("/\\x.example/login", "x.example"),
            ("https://cust-c95a69.ci.example:8443/", "cust-c95a69.ci.example:8443"),
            ("https://cust-c95a69.ci.example.x.example/", "cust-c95a69.ci.example.x.example"),
            ("https://cust-c95a69.ci.example@x.example/", "x.example"),
            ("https://x.example?cust-c95a69.ci.example/", "x.example"),
        ] {
            assert_eq!(host(location).as_deref(), Some(other), "{location}");
        }
    }

    #[test]
    fn values_of_parameters_may_differ_and_nothing_else() {
        let same = |one: &str, other: &str| Target::read(one, OWN) == Target::read(other, OWN);
        assert!(same("https://cust-c95a69.ci.example/login?state=a1&x=1", "/login?state=b2&x=2"));
        assert!(same("/app#token=a", "/app#token=b"));
        assert!(!same("/login", "/setup"));
        assert!(!same("/login?a=1", "/login?b=1"));
        assert!(!same("/app#one", "/app#two"));
        assert!(!same("https://x.example/login", "/login"));
    }
}
