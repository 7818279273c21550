//! Which hosts a router's rule can match, read as Traefik reads it: matchers with `&&`, `||`, `!` and parentheses.

use crate::names::StackName;

/// How far a rule reaches, from what is the app's own to everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Only hosts of the app.
    Own,
    /// A host that cannot exist, as samples use it (RFC 2606), or an empty one.
    Placeholder(String),
    /// Another's host.
    Foreign(String),
    /// Every TLS connection of the router's entry points.
    AllTls,
    /// Whatever comes, or a rule that cannot be understood.
    Anything,
}

/// How far a rule reaches.
pub(super) fn reach(rule: &str, stack: &StackName) -> Reach {
    let Some(tokens) = tokens(rule) else { return Reach::Anything };
    let mut parser = Parser { tokens: &tokens, stack, depth: 0 };
    match parser.any_of() {
        Some(reach) if parser.tokens.is_empty() => reach,
        _ => Reach::Anything,
    }
}

/// A rule that nests deeper than this is none that a person wrote.
const DEEPEST: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    And,
    Or,
    Not,
    Open,
    Close,
    Comma,
}

/// `None` where something stands there that has no place in a rule.
fn tokens(rule: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = rule.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '!' => (Token::Not, 1),
            '&' if rest.starts_with("&&") => (Token::And, 2),
            '|' if rest.starts_with("||") => (Token::Or, 2),
            '`' | '"' => {
                let end = rest[1..].find(first)? + 1;
                let text = &rest[1..end];
                // Escapes would say another text than the one that is read here.
                if first == '"' && text.contains('\\') {
                    return None;
                }
                (Token::Text(text.to_owned()), end + 1)
            }
            first if first.is_ascii_alphabetic() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                (Token::Word(rest[..end].to_ascii_lowercase()), end)
            }
            _ => return None,
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    stack: &'a StackName,
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, token: &Token) -> bool {
        let is_next = self.tokens.first() == Some(token);
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }

    /// Alternatives reach as far as the farthest of them.
    fn any_of(&mut self) -> Option<Reach> {
        let mut reach = self.all_of()?;
        while self.take(&Token::Or) {
            reach = reach.max(self.all_of()?);
        }
        Some(reach)
    }

    /// What has to hold at once reaches as far as the nearest of it.
    fn all_of(&mut self) -> Option<Reach> {
        let mut reach = self.one()?;
        while self.take(&Token::And) {
            reach = reach.min(self.one()?);
        }
        Some(reach)
    }

    fn one(&mut self) -> Option<Reach> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let reach = if self.take(&Token::Not) {
            // Not to be one host is to be any other.
            self.one()?;
            Reach::Anything
        } else if self.take(&Token::Open) {
            let reach = self.any_of()?;
            self.take(&Token::Close).then_some(reach)?
        } else {
            self.matcher()?
        };
        self.depth -= 1;
        Some(reach)
    }

    fn matcher(&mut self) -> Option<Reach> {
        let Some((Token::Word(name), rest)) = self.tokens.split_first() else { return None };
        self.tokens = rest;
        if !self.take(&Token::Open) {
            return None;
        }
        let mut texts = Vec::new();
        while !self.take(&Token::Close) {
            let Some((Token::Text(text), rest)) = self.tokens.split_first() else { return None };
            texts.push(text.as_str());
            self.tokens = rest;
            if !self.take(&Token::Comma) && self.tokens.first() != Some(&Token::Close) {
                return None;
            }
        }
        let of_hosts = |judge: &dyn Fn(&str) -> Reach| texts.iter().map(|text| judge(text)).max();
        Some(match name.as_str() {
            "host" | "hostheader" => of_hosts(&|host| host_reach(host, self.stack))?,
            "hostsni" if texts == ["*"] => Reach::AllTls,
            "hostsni" => of_hosts(&|host| host_reach(host, self.stack))?,
            "hostregexp" | "hostsniregexp" => of_hosts(&|pattern| pattern_reach(pattern, self.stack))?,
            _ => Reach::Anything,
        })
    }
}

fn host_reach(host: &str, stack: &StackName) -> Reach {
    let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
    if is_own(&host, stack) {
        return Reach::Own;
    }
    let is_below = |name: &str| host == name || host.ends_with(&format!(".{name}"));
    let zone = stack.as_str().split_once('_').map_or("", |(_, zone)| zone).replace('_', ".");
    let placeholders = ["example.com", "example.org", "example.net", "example", "invalid", "localhost"];
    if host.is_empty() || (placeholders.iter().any(|name| is_below(name)) && !is_below(&zone)) {
        Reach::Placeholder(host)
    } else {
        Reach::Foreign(host)
    }
}

/// A pattern for hosts is the app's own where each host it matches ends with the app's.
fn pattern_reach(pattern: &str, stack: &StackName) -> Reach {
    let plain = pattern.trim_end_matches('$').replace('\\', "").to_ascii_lowercase();
    let domain = stack.as_str().replace('_', ".");
    if !pattern.contains('|') && plain.ends_with(&domain) { Reach::Own } else { Reach::Anything }
}

/// The app's host or one below it: a stack is named after its domain.
fn is_own(host: &str, stack: &StackName) -> bool {
    let domain = stack.as_str().replace('_', ".");
    host == domain || host.ends_with(&format!(".{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Zone;

    fn told(rule: &str) -> Reach {
        let zone = Zone::parse("ci.example.org").unwrap();
        let stack = StackName::parse_in("note-1a2b3c_ci_example_org", &zone).unwrap();
        reach(&rule.replace("OWN", "note-1a2b3c.ci.example.org"), &stack)
    }

    #[test]
    fn rules_for_the_apps_own_hosts_are_own() {
        for rule in [
            "Host(`OWN`)",
            "host(\"OWN\")",
            " Host ( `OWN` , `www.OWN` ) ",
            "Host(`OWN`) && PathPrefix(`/a`)",
            "PathPrefix(`/a`) && Host(`OWN`)",
            "(Host(`OWN`) || Host(`www.OWN`)) && !Path(`/b`)",
            "Host(`OWN`) && (Method(`GET`) || Headers(`x`, `y`))",
            "HostRegexp(`^[a-z]+\\.note-1a2b3c\\.ci\\.example\\.org$`)",
            "HostRegexp(`{sub:[a-z]+}.OWN`)",
            "Host(`OWN.`)",
        ] {
            assert_eq!(told(rule), Reach::Own, "{rule}");
        }
    }

    #[test]
    fn rules_that_reach_farther_say_how_far() {
        let foreign = |host: &str| Reach::Foreign(host.to_owned());
        for (rule, reach) in [
            ("Host(`wiki-000000.ci.example.org`)", foreign("wiki-000000.ci.example.org")),
            ("Host(`xnote-1a2b3c.ci.example.org`)", foreign("xnote-1a2b3c.ci.example.org")),
            ("Host(`ci.example.org`)", foreign("ci.example.org")),
            ("Host(`git.coop.tech`) && PathPrefix(`/`)", foreign("git.coop.tech")),
            ("Host(`OWN`) || Host(`git.coop.tech`)", foreign("git.coop.tech")),
            ("Host(`notes.example.com`)", Reach::Placeholder("notes.example.com".to_owned())),
            ("Host(``)", Reach::Placeholder(String::new())),
            ("HostSNI(`*`)", Reach::AllTls),
            ("HostSNI(`*`) && HostSNI(`OWN`)", Reach::Own),
            ("PathPrefix(`/`)", Reach::Anything),
            ("Host(`OWN`) || PathPrefix(`/`)", Reach::Anything),
            ("!Host(`OWN`)", Reach::Anything),
            ("!(Host(`OWN`))", Reach::Anything),
            ("HostRegexp(`.+`)", Reach::Anything),
            ("HostRegexp(`.+|OWN`)", Reach::Anything),
            ("HostRegexp(`(OWN)?`)", Reach::Anything),
        ] {
            assert_eq!(told(rule), reach, "{rule}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_understood_counts_as_everything() {
        for rule in [
            "",
            "Host",
            "Host(`OWN`",
            "Host(`OWN`) Host(`OWN`)",
            "Host(`OWN`) /* */",
            "Host(\"O\\x57N\")",
            "Host()",
        ] {
            assert_eq!(told(rule), Reach::Anything, "{rule}");
        }
        assert_eq!(told(&"(".repeat(10_000)), Reach::Anything);
        assert_eq!(told(&"!".repeat(10_000)), Reach::Anything);
    }
}
