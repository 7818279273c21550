//! Published ports in their short form: `8080:80`, `127.0.0.1:53:53/udp`, `8000-8010:80`.

use std::net::IpAddr;

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShortPort {
    pub(super) target: u32,
    /// 0 lets the engine choose.
    pub(super) published: u32,
    pub(super) protocol: String,
}

/// The ports that a short form stands for, in the CLI's order (by target as text).
///
/// # Errors
/// A sentence fragment that says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<ShortPort>, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (address, host, container) = match parts.as_slice() {
        [container] => (String::new(), "", *container),
        [host, container] => (String::new(), *host, *container),
        [address @ .., host, container] => (address.join(":"), *host, *container),
        [] => (String::new(), "", ""),
    };
    if !address.is_empty() {
        let bare = match address.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or("has an address without closing bracket")?,
            None => &address,
        };
        bare.parse::<IpAddr>().map_err(|_| format!("has the invalid address {bare:?}"))?;
    }
    let mut pieces = container.split('/');
    let container = pieces.next().unwrap_or_default();
    let protocol = pieces.next().filter(|protocol| !protocol.is_empty()).unwrap_or("tcp").to_lowercase();
    if container.is_empty() {
        return Err("names no container port".to_owned());
    }
    let (first, last) =
        range(container).ok_or_else(|| format!("has the invalid container port {container:?}"))?;
    let (first_host, last_host) = if host.is_empty() {
        (0, 0)
    } else {
        range(host).ok_or_else(|| format!("has the invalid host port {host:?}"))?
    };
    if !host.is_empty() && last - first != last_host - first_host && first != last {
        return Err("has ranges of different length".to_owned());
    }
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("has the unknown protocol {protocol:?}"));
    }
    let port = |target, published| ShortPort { target, published, protocol: protocol.clone() };
    if first == last {
        // One container port may be published on a whole range.
        return Ok((first_host..=last_host).map(|published| port(first, published)).collect());
    }
    let mut ports: Vec<ShortPort> = (first..=last)
        .map(|target| port(target, if host.is_empty() { 0 } else { first_host + (target - first) }))
        .collect();
    ports.sort_by_key(|port| port.target.to_string());
    Ok(ports)
}

/// `80` or `80-90`; what follows a second hyphen is not looked at, as in the CLI.
fn range(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if fits { text.parse::<u16>().ok().map(u32::from) } else { None }
    };
    let mut parts = text.split('-');
    let first = number(parts.next()?)?;
    let last = match parts.next() {
        None => first,
        Some(last) => number(last)?,
    };
    (first <= last).then_some((first, last))
}
