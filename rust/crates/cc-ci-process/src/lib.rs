//! HOW A PROGRAM BEHAVES: exit codes, signals, child processes, masking, atomic files and waits.
