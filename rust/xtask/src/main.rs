//! What contributors call: demo, test, check, bench, docs.

fn main() {}
