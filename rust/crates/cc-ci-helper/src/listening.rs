//! Which TCP ports somebody listens on in this network namespace, read from the kernel's table.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use crate::fault::Fault;

/// The state `TCP_LISTEN` in `/proc/net/tcp` (`include/net/tcp_states.h`).
const LISTEN: &str = "0A";

/// The listening ports as one line of JSON.
pub(crate) fn ports() -> Result<Vec<u8>, Fault> {
    let mut found = Vec::new();
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        match std::fs::read_to_string(table) {
            Ok(text) => found.extend(text.lines().skip(1).filter_map(listening)),
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == ErrorKind::NotFound && table.ends_with('6') => {}
            Err(error) => return Err(Fault::ours(&format!("reading {table}"), error)),
        }
    }
    Ok(format!("{}\n", Value::Array(found)).into_bytes())
}

fn listening(line: &str) -> Option<Value> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state) = (fields.get(1)?, fields.get(3)?);
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (*state == LISTEN).then_some(json!({ "address": ip(address)?.to_string(), "port": port }))
}

/// The kernel prints addresses as 32-bit words in the machine's byte order.
fn ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}
