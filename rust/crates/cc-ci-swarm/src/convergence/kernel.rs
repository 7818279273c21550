//! What the kernel counts: processes it killed because memory was used up.

/// Processes that the kernel of this host has killed for want of memory since it started, whoever they belonged to;
/// `None` where it does not say (`oom_kill` of `/proc/vmstat`, since Linux 4.13).
pub(super) fn kills_for_memory() -> Option<u64> {
    count(&std::fs::read_to_string("/proc/vmstat").ok()?)
}

fn count(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_and_a_kernel_that_does_not_say_counts_nothing() {
        assert_eq!(count("nr_free_pages 5\noom_kill 12\noom_kill_other 3\n"), Some(12));
        assert_eq!(count("nr_free_pages 5\n"), None);
    }
}
