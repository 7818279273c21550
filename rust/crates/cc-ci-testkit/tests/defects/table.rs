//! The recorded defects: what to write where, and the test that has to turn red by it.

/// One defect that was made, or could be made again.
pub(crate) struct Defect {
    /// Package of the test.
    pub(crate) package: &'static str,
    /// Test program in `tests/`; none for the tests beside the code.
    pub(crate) program: Option<&'static str>,
    /// The whole name of the test.
    pub(crate) test: &'static str,
    /// File below `crates/`, with the text that stands there exactly once, and what the defect makes of it.
    pub(crate) file: &'static str,
    pub(crate) text: &'static str,
    pub(crate) defect: &'static str,
}

const fn model(test: &'static str, file: &'static str, text: &'static str, defect: &'static str) -> Defect {
    Defect { package: "cc-ci-model", program: None, test, file, text, defect }
}

const fn process(test: &'static str, file: &'static str, text: &'static str, defect: &'static str) -> Defect {
    Defect { package: "cc-ci-process", program: Some("programs"), test, file, text, defect }
}

const fn lock(test: &'static str, text: &'static str, defect: &'static str) -> Defect {
    Defect {
        package: "cc-ci-swarm",
        program: Some("locks"),
        test,
        file: "cc-ci-swarm/src/lock.rs",
        text,
        defect,
    }
}

/// The defects, those of one package together: it is built anew for each.
pub(crate) const DEFECTS: &[Defect] = &[
    // The label accepted whatever was appended to it.
    model(
        "head_proof::tests::head_proof_accepts_the_dirty_suffix_and_nothing_else",
        "cc-ci-model/src/head_proof.rs",
        "label.strip_suffix(\"+U\").unwrap_or(label)",
        "label.trim_end_matches(\"+U\")",
    ),
    // Apps got another form of name, and the reaper's pattern stayed.
    model(
        "names::domain::tests::run_names_and_the_reaper_pattern_come_from_one_type",
        "cc-ci-model/src/names/domain.rs",
        "let label = format!(\"{short}-{hex}\");",
        "let label = format!(\"{short}-pr{hex}\");",
    ),
    // The label is compared first, and the rollback that explains it is never told.
    model(
        "convergence::tests::rollback_is_reported_as_rollback_not_as_wrong_commit",
        "cc-ci-model/src/convergence.rs",
        "    if let Some(UpdateStatus { state, message, .. }) = own_update(service) {",
        "    if let Some(other) = differs(service) {\n        return Some(other);\n    }\n    \
         if let Some(UpdateStatus { state, message, .. }) = own_update(service) {",
    ),
    // A word of the update that is not among those that mean "it went back".
    model(
        "convergence::tests::rollback_completed_is_not_convergence",
        "cc-ci-model/src/convergence.rs",
        "UpdateState::Updating | UpdateState::Completed => {}",
        "UpdateState::Updating | UpdateState::Completed | UpdateState::RollbackCompleted => {}",
    ),
    // The status of the update before ours is taken for ours.
    model(
        "convergence::tests::state_from_before_the_roll_is_not_its_outcome",
        "cc-ci-model/src/convergence.rs",
        "service.update.as_ref().filter(|update| service.update_before.as_deref() != Some(&update.started))",
        "service.update.as_ref()",
    ),
    // Every line counts, wherever it stands.
    model(
        "bridge::command::tests::only_an_exact_command_line_outside_quotes_and_code_fires",
        "cc-ci-model/src/bridge/command.rs",
        "for line in plain_lines(comment) {",
        "for line in comment.lines() {",
    ),
    // A line is appended to whatever stood last.
    model(
        "env_file::tests::env_append_without_final_newline_starts_a_new_line",
        "cc-ci-model/src/env_file.rs",
        "writeln!(f, \"{}\", line.raw)?;",
        "write!(f, \"{}\", line.raw)?;",
    ),
    // One copy is budgeted where two run.
    model(
        "admission::tests::start_first_update_is_budgeted_for_both_copies",
        "cc-ci-model/src/admission.rs",
        "saturating_mul(if needs.starts_first { 2 } else { 1 })",
        "saturating_mul(1)",
    ),
    // Only services are looked at after the removal.
    model(
        "inventory::tests::residue_after_teardown_turns_the_run_red",
        "cc-ci-model/src/inventory.rs",
        "|object| is_ours(object) || made_keys.contains(&object.key())",
        "|object| object.kind == Kind::Service && is_ours(object)",
    ),
    // What is left is not asked for the verdict.
    model(
        "outcome::tests::residue_after_teardown_turns_the_run_red",
        "cc-ci-model/src/outcome.rs",
        "    if !after.left.is_empty() {",
        "    if after.left.len() > 100 {",
    ),
    // A second deploy in place of the upgrade goes unnoticed.
    model(
        "outcome::tests::in_place_upgrade_adds_nothing_to_the_deploy_count",
        "cc-ci-model/src/outcome.rs",
        "if counted > expected || (counted < expected && !failed) {",
        "if counted < expected && !failed {",
    ),
    // A rule by age.
    model(
        "sweep::tests::live_run_is_never_reaped_whatever_its_age",
        "cc-ci-model/src/sweep.rs",
        "Some(_) | None => say(Code::KeepLive,",
        "Some(_) | None => say(Code::ReapDead,",
    ),
    // What has been held for long is taken.
    model(
        "sweep::tests::lock_held_over_120_minutes_is_a_warning_not_a_theft",
        "cc-ci-model/src/sweep.rs",
        "                    Code::WarnOldLock,",
        "                    Code::ReapDead,",
    ),
    // Apps are listed by their `.env`.
    model(
        "sweep::tests::orphan_without_env_file_is_found_from_its_service_names",
        "cc-ci-model/src/sweep/candidates.rs",
        "        *candidate.objects.entry(object.kind).or_default() += 1;",
        "        if candidate.has_env_file {\n            *candidate.objects.entry(object.kind).or_default() += 1;\n        }",
    ),
    // What may be the beginning of a secret is shown at the border of a chunk.
    Defect {
        program: None,
        ..process(
            "mask::tests::secret_is_masked_across_chunk_borders_while_output_streams",
            "cc-ci-process/src/mask/stream.rs",
            "if find.is_live && !is_end {",
            "if find.is_live && false {",
        )
    },
    // Only Ctrl-C is heard.
    process(
        "cancel_reaches_the_whole_group_and_teardown_runs_once",
        "cc-ci-process/src/cancel.rs",
        "signal(SignalKind::terminate()).and_then",
        "signal(SignalKind::user_defined2()).and_then",
    ),
    // The signal alone, with the gap before it.
    process(
        "orphaned_harness_dies_even_if_its_parent_died_first",
        "cc-ci-process/src/parent.rs",
        "            cancellation.cancel(Cause::ParentDied);",
        "            let _ = (cancellation, Cause::ParentDied);",
    ),
    // The deadline ends it like any cancel.
    process(
        "hung_run_hits_the_deadline_tears_down_and_exits_142",
        "cc-ci-process/src/cancel.rs",
        "Self::Deadline(_) => ExitStatus::Deadline,",
        "Self::Deadline(_) => ExitStatus::Cancelled,",
    ),
    // The caller's environment comes along.
    process(
        "every_child_gets_home_and_abra_dir_explicitly",
        "cc-ci-process/src/child/host.rs",
        "command.args(&spec.args).env_clear().envs(",
        "command.args(&spec.args).envs(",
    ),
    // Nobody is told that a run waits.
    lock(
        "waiting_for_a_lock_is_visible_in_the_log",
        "                    news(&LockNews::Waiting(holder.clone()));",
        "",
    ),
    // A child has the descriptor, too.
    lock(
        "lock_descriptor_is_closed_on_exec",
        "        match try_lock(&file) {",
        "        let inherited = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());\n        \
         let _ = nix::fcntl::fcntl(&file, inherited);\n        match try_lock(&file) {",
    ),
    // A waiter is content with a file that has no name any more.
    lock(
        "waiter_on_an_unlinked_lock_file_starts_over",
        "if is_named(&file, &path).map_err(failed(\"looking again at\"))? {",
        "if is_named(&file, &path).is_ok() {",
    ),
    // A lock that only this program knows of.
    lock(
        "lock_tests_use_the_real_kernel_and_real_children",
        "match FileExt::try_lock_exclusive(file) {",
        "match Ok::<(), io::Error>(()) {",
    ),
    // The file stays, so that the next run begins on the condemned one.
    Defect {
        program: Some("leftovers_of_the_dead"),
        ..lock(
            "reaping_happens_under_the_probe_lock",
            "fs::remove_file(&self.path).map_err(",
            "Ok::<(), io::Error>(()).map_err(",
        )
    },
    // The recipe's resolver stays where the run sets a key of its own.
    Defect {
        program: None,
        file: "cc-ci-swarm/src/native/app_env.rs",
        ..lock(
            "native::app_env::tests::certificate_resolver_is_empty_in_every_app_env",
            "self.file.set(\"LETS_ENCRYPT_ENV\", \"\");",
            "",
        )
    },
    // Two runs of one recipe meet in one folder.
    Defect {
        package: "cc-ci-harness",
        program: None,
        file: "cc-ci-harness/src/folder.rs",
        ..lock(
            "folder::tests::every_run_state_path_carries_the_run_id",
            "Self { root: runs.join(id.as_str()) }",
            "Self { root: runs.join(&id.as_str()[..8]) }",
        )
    },
];
