//! Real servers, fixtures and stand-ins that tests, demo and benchmarks start.
