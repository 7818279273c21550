//! The decisions of a sweep, one test per situation.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::names::{Recipe, StackName, Zone};

fn zone() -> Zone {
    Zone::parse("ci.example.org").unwrap()
}

fn domain(label: &str) -> RunDomain {
    RunDomain::parse_in(&format!("{label}.ci.example.org"), &zone()).unwrap()
}

fn stack(label: &str) -> StackName {
    domain(label).stack()
}

fn run_id(second: u8) -> RunId {
    RunId::parse(&format!("20260102T0304{second:02}-1a2b3c")).unwrap()
}

fn object(kind: Kind, name: &str, stack: Option<&str>) -> Object {
    Object {
        kind,
        id: format!("id-{name}"),
        name: name.to_owned(),
        stack: stack.map(str::to_owned),
        run: None,
        fingerprint: String::new(),
    }
}

fn with(objects: Vec<Object>) -> Traces {
    Traces { inventory: Inventory::new(objects), ..Traces::default() }
}

fn run(second: u8, label: &str, state: FolderState, liveness: Liveness) -> RunTrace {
    RunTrace { id: run_id(second), domain: Some(domain(label)), state, liveness }
}

/// The codes for all domains of these traces, with one answer for all locks.
fn codes(traces: &Traces, lock: &LockFacts) -> Vec<(String, Code)> {
    let (found, skipped) = candidates(traces, &zone());
    let decided = found.iter().filter_map(|candidate| decide(candidate, lock));
    skipped.into_iter().chain(decided).map(|decision| (decision.subject, decision.code)).collect()
}

fn held(minutes: u64) -> LockFacts {
    LockFacts::Held {
        holder: Some("run 20260102T030405-1a2b3c, pid 7".to_owned()),
        held_for: Some(Duration::from_secs(minutes * 60)),
    }
}

const A: &str = "cust-00000a";
const B: &str = "cust-00000b";
const A_DOMAIN: &str = "cust-00000a.ci.example.org";

fn everything_of(label: &str) -> Traces {
    let name = stack(label).to_string();
    let mut traces = with(vec![
        object(Kind::Service, &format!("{name}_app"), Some(&name)),
        object(Kind::Volume, &format!("{name}_data"), Some(&name)),
    ]);
    traces.records.push(RecordTrace::Read { run: run_id(1), stack: stack(label), extra: Vec::new() });
    traces.lock_files.push(format!("{}.lock", domain(label)));
    traces.runs.push(run(1, label, FolderState::Running, Liveness::Dead));
    traces
}

proptest! {
    #[test]
    fn live_run_is_never_reaped_whatever_its_age(minutes in 0u64..100_000, known in any::<bool>()) {
        let lock = LockFacts::Held { holder: None, held_for: known.then(|| Duration::from_secs(minutes * 60)) };
        let codes = codes(&everything_of(A), &lock);
        prop_assert_eq!(codes.len(), 1);
        prop_assert!(matches!(codes[0].1, Code::KeepLive | Code::WarnOldLock));
    }

    #[test]
    fn nothing_but_names_of_this_zone_becomes_a_candidate(
        name in "[a-z0-9-]{0,8}(_[a-z0-9_]{0,20})?", label in proptest::option::of("[a-z0-9_-]{0,20}"), lock in "[a-z0-9.-]{0,30}"
    ) {
        let mut traces = with(vec![object(Kind::Volume, &name, label.as_deref())]);
        traces.lock_files.push(lock);
        let (found, _) = candidates(&traces, &zone());
        for candidate in found {
            prop_assert!(candidate.domain.as_str().ends_with(".ci.example.org"));
            prop_assert!(candidate.stacks.iter().all(|stack| stack.as_str().ends_with("_ci_example_org")));
        }
    }
}

#[test]
fn a_dead_run_is_reaped_with_everything_that_is_known_of_it() {
    let (found, skipped) = candidates(&everything_of(A), &zone());
    assert!(skipped.is_empty());
    let [candidate] = &found[..] else { panic!("{found:?}") };
    assert_eq!(candidate.found(), "1 service, 1 volume, a record");
    assert_eq!(candidate.dead_runs, BTreeSet::from([run_id(1)]));
    let decision = decide(candidate, &LockFacts::Free).unwrap();
    assert_eq!((decision.code, decision.subject.as_str()), (Code::ReapDead, A_DOMAIN));
    assert_eq!(decision.reason, "nobody holds its lock; found 1 service, 1 volume, a record");
}

#[test]
fn lock_held_over_120_minutes_is_a_warning_not_a_theft() {
    for (minutes, code) in [(0, Code::KeepLive), (120, Code::KeepLive), (121, Code::WarnOldLock)] {
        let (found, _) = candidates(&everything_of(A), &zone());
        let decision = decide(&found[0], &held(minutes)).unwrap();
        assert_eq!(decision.code, code, "{minutes}");
        assert!(decision.reason.contains("pid 7"), "the holder is named: {}", decision.reason);
    }
    let (found, _) = candidates(&everything_of(A), &zone());
    assert!(decide(&found[0], &held(121)).unwrap().reason.starts_with("possible leaked run"));
}

#[test]
fn orphan_without_env_file_is_found_from_its_service_names() {
    let name = format!("{}_app", stack(A));
    for label in [None, Some(stack(A).to_string())] {
        let traces = with(vec![object(Kind::Service, &name, label.as_deref())]);
        assert_eq!(codes(&traces, &LockFacts::NoFile), [(A_DOMAIN.to_owned(), Code::ReapDead)]);
    }
}

#[test]
fn an_orphan_of_any_single_kind_is_found() {
    for kind in
        [Kind::Service, Kind::Task, Kind::Container, Kind::Network, Kind::Volume, Kind::Secret, Kind::Config]
    {
        let traces = with(vec![object(kind, &format!("{}_x", stack(A)), None)]);
        assert_eq!(codes(&traces, &LockFacts::NoFile), [(A_DOMAIN.to_owned(), Code::ReapDead)], "{kind:?}");
    }
}

#[test]
fn leftovers_of_a_reboot_go_at_once() {
    let mut traces = everything_of(A);
    traces.lock_files.clear();
    assert_eq!(codes(&traces, &LockFacts::NoFile), [(A_DOMAIN.to_owned(), Code::ReapDead)]);
}

#[test]
fn a_lock_that_could_not_be_asked_means_could_not_check() {
    let unknown = LockFacts::Unknown("opening it: permission denied".to_owned());
    assert_eq!(codes(&everything_of(A), &unknown), [(A_DOMAIN.to_owned(), Code::CouldNotCheck)]);
    assert!(Code::CouldNotCheck.is_trouble());
}

#[test]
fn neighbours_and_names_that_look_almost_like_ours_stay() {
    for foreign in [
        "traefik_ci_example_org_app",
        "cust-00000a_ci_example_com_app",
        "cust-00000a_ci_example_orgx_app",
        "acust-00000a_ci_example_org_app",
        "cust-00000_ci_example_org_app",
        "cust-00000A_ci_example_org_app",
        "cc-ci-witness_app",
        "proxy",
    ] {
        let traces = with(vec![object(Kind::Service, foreign, None)]);
        assert_eq!(codes(&traces, &LockFacts::NoFile), [], "{foreign}");
    }
    let own_name = format!("{}_data", stack(A));
    let labelled = with(vec![object(Kind::Volume, &own_name, Some("nextcloud"))]);
    assert_eq!(codes(&labelled, &LockFacts::NoFile), [], "a label of another stack beats the name");
}

#[test]
fn a_marked_object_of_another_zone_is_named_once_and_left_alone() {
    let mut one = object(Kind::Service, "cust-00000a_ci_other_org_app", Some("cust-00000a_ci_other_org"));
    one.run = Some(run_id(1));
    let mut two = object(Kind::Volume, "cust-00000a_ci_other_org_data", Some("cust-00000a_ci_other_org"));
    two.run = Some(run_id(1));
    let expected = [("cust-00000a_ci_other_org".to_owned(), Code::SkipForeign)];
    assert_eq!(codes(&with(vec![one, two]), &LockFacts::NoFile), expected);
}

#[test]
fn a_second_stack_of_a_living_run_is_covered_by_the_lock_of_its_main_domain() {
    let name = format!("{}_db", stack(B));
    let mut traces = with(vec![object(Kind::Service, &name, None)]);
    traces.records.push(RecordTrace::Read { run: run_id(1), stack: stack(A), extra: vec![stack(B)] });
    let (found, _) = candidates(&traces, &zone());
    let [candidate] = &found[..] else { panic!("one lock, one candidate: {found:?}") };
    assert_eq!(candidate.domain, domain(A));
    assert_eq!(candidate.stacks, BTreeSet::from([stack(A), stack(B)]));
    // The same without a record: the mark of the run leads to its folder, the folder to the domain.
    let mut marked = object(Kind::Service, &name, None);
    marked.run = Some(run_id(1));
    let mut traces = with(vec![marked]);
    traces.runs.push(run(1, A, FolderState::Running, Liveness::Lives));
    let (found, _) = candidates(&traces, &zone());
    assert_eq!(found.iter().map(|candidate| &candidate.domain).collect::<Vec<_>>(), [&domain(A)]);
}

#[test]
fn while_a_record_cannot_be_read_a_stack_of_unknown_owner_is_not_removed() {
    let mut traces = with(vec![object(Kind::Service, &format!("{}_db", stack(B)), None)]);
    traces.records.push(RecordTrace::Unreadable { reason: "reading x.json: truncated".to_owned() });
    traces.records.push(RecordTrace::Read { run: run_id(1), stack: stack(A), extra: Vec::new() });
    let expected = [
        ("records".to_owned(), Code::CouldNotCheck),
        (A_DOMAIN.to_owned(), Code::ReapDead),
        (domain(B).to_string(), Code::CouldNotCheck),
    ];
    assert_eq!(codes(&traces, &LockFacts::NoFile), expected);
}

#[test]
fn an_odd_file_among_the_locks_is_skipped_and_logged() {
    let traces = Traces {
        lock_files: ["README", "traefik.ci.example.org.lock", "cust-00000a.ci.other.org.lock"]
            .map(str::to_owned)
            .to_vec(),
        ..Traces::default()
    };
    let codes: Vec<Code> = codes(&traces, &LockFacts::Free).into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, [Code::SkipOddFile; 3]);
}

#[test]
fn a_lock_file_that_guards_nothing_goes() {
    let traces = Traces { lock_files: vec![format!("{A_DOMAIN}.lock")], ..Traces::default() };
    assert_eq!(codes(&traces, &LockFacts::Free), [(A_DOMAIN.to_owned(), Code::RemoveLock)]);
    assert_eq!(codes(&traces, &held(1)), [(A_DOMAIN.to_owned(), Code::KeepLive)]);
}

#[test]
fn the_env_file_of_a_living_run_is_no_leftover() {
    for (liveness, expected) in [
        (Liveness::Lives, None),
        (Liveness::Unknown("?".to_owned()), None),
        (Liveness::Dead, Some(Code::ReapDead)),
    ] {
        let mut traces = Traces::default();
        traces.env_files.push((run_id(1), A_DOMAIN.to_owned()));
        traces.runs.push(run(1, A, FolderState::Running, liveness.clone()));
        let code = codes(&traces, &LockFacts::NoFile).pop().map(|(_, code)| code);
        assert_eq!(code, expected, "{liveness:?}");
    }
}

#[test]
fn a_result_is_settled_only_when_its_run_is_gone() {
    let code = |state, liveness| settle(&run(1, A, state, liveness)).map(|decision| decision.code);
    let unknown = || Liveness::Unknown("permission denied".to_owned());
    assert_eq!(code(FolderState::Running, Liveness::Dead), Some(Code::SettleInterrupted));
    assert_eq!(code(FolderState::Running, Liveness::Lives), None);
    assert_eq!(code(FolderState::Running, unknown()), Some(Code::CouldNotCheck));
    for liveness in [Liveness::Dead, Liveness::Lives, unknown()] {
        assert_eq!(code(FolderState::Settled, liveness), None, "a committed verdict stands");
    }
}

#[test]
fn object_born_after_the_sweep_mark_stops_the_reaping() {
    let old = object(Kind::Service, "a_app", None);
    let mark = Inventory::new(vec![old.clone()]);
    for kind in [Kind::Service, Kind::Network, Kind::Secret, Kind::Config] {
        let young = object(kind, "a_new", None);
        assert_eq!(newborn(&mark, [&old, &young].into_iter()), [young.title()]);
    }
    // Swarm itself makes these for a service that is there, also after its owner died.
    for kind in [Kind::Task, Kind::Container, Kind::Volume] {
        assert_eq!(newborn(&mark, [&object(kind, "a_app.1", None)].into_iter()), [""; 0]);
    }
    // The same name with another id is another object.
    let again = Object { id: "other".to_owned(), ..old };
    assert_eq!(newborn(&mark, [&again].into_iter()), ["service a_app"]);
}

#[test]
fn every_code_has_a_word_of_its_own_and_says_whether_it_is_trouble() {
    let all = [
        Code::ReapDead,
        Code::Reaped,
        Code::ReapIncomplete,
        Code::StopNewborn,
        Code::KeepLive,
        Code::WarnOldLock,
        Code::RemoveLock,
        Code::EndProcess,
        Code::SettleInterrupted,
        Code::SkipOddFile,
        Code::SkipForeign,
        Code::TrimRunFolder,
        Code::RemoveImage,
        Code::KeepImages,
        Code::CouldNotCheck,
        Code::Warn,
    ];
    let words: BTreeSet<&str> = all.iter().map(|code| code.word()).collect();
    assert_eq!(words.len(), all.len());
    for code in all {
        assert_eq!(serde_json::to_value(code).unwrap(), code.word(), "the diary says what the journal says");
    }
    let trouble: Vec<Code> = all.into_iter().filter(|code| code.is_trouble()).collect();
    assert_eq!(trouble, [Code::ReapIncomplete, Code::StopNewborn, Code::CouldNotCheck]);
}

mod run_folders {
    use super::*;

    const KEEP: Retention = Retention { per_recipe: 2, keep_for: Duration::from_secs(30 * 86_400) };

    /// A folder of a run on this day of January, an hour long.
    fn folder(recipe: Option<&str>, day: u8, is_green: bool) -> FolderFacts {
        FolderFacts {
            id: RunId::parse(&format!("202601{day:02}T000000-1a2b3c")).unwrap(),
            recipe: recipe.map(|recipe| Recipe::parse(recipe).unwrap()),
            is_green,
            ended: Some(format!("2026-01-{day:02}T01:00:00Z").parse().unwrap()),
            may_live: false,
        }
    }

    fn days(folders: &[FolderFacts], now: &str) -> Vec<String> {
        let gone = trim(folders, &KEEP, now.parse().unwrap());
        gone.iter().map(|trimmed| trimmed.id.as_str()[6..8].to_owned()).collect()
    }

    #[test]
    fn run_folders_have_a_retention() {
        let runs: Vec<FolderFacts> = (1..=5).map(|day| folder(Some("a"), day, day == 1)).collect();
        // By number: the two newest and the newest green one stay.
        assert_eq!(days(&runs, "2026-01-06T00:00:00Z"), ["03", "02"]);
        // By age: the newest of any colour and the newest green one stay.
        assert_eq!(days(&runs, "2027-01-06T00:00:00Z"), ["04", "03", "02"]);
    }

    #[test]
    fn the_last_result_of_each_recipe_stays_whatever_its_age() {
        let runs = [folder(Some("a"), 1, false), folder(Some("b"), 2, false)];
        assert_eq!(days(&runs, "2030-01-01T00:00:00Z"), [""; 0]);
    }

    #[test]
    fn run_folder_cleaner_never_deletes_a_folder_just_born() {
        let mut young = folder(None, 10, false);
        young.ended = None;
        assert_eq!(days(&[young.clone()], "2026-01-10T00:59:59Z"), [""; 0]);
        let strict = Retention { per_recipe: 0, keep_for: Duration::ZERO };
        let gone = |now: &str| trim(std::slice::from_ref(&young), &strict, now.parse().unwrap()).len();
        assert_eq!((gone("2026-01-10T00:59:59Z"), gone("2026-01-10T01:00:01Z")), (0, 1));
        // One hour after the end, too, however long the run was.
        let long = FolderFacts { ended: Some("2026-01-20T00:00:00Z".parse().unwrap()), ..young };
        let gone = |now: &str| trim(std::slice::from_ref(&long), &strict, now.parse().unwrap()).len();
        assert_eq!((gone("2026-01-20T00:59:00Z"), gone("2026-01-20T01:01:00Z")), (0, 1));
    }

    #[test]
    fn a_folder_whose_run_may_live_is_never_touched() {
        let runs: Vec<FolderFacts> =
            (1..=5).map(|day| FolderFacts { may_live: true, ..folder(Some("a"), day, false) }).collect();
        assert_eq!(days(&runs, "2030-01-01T00:00:00Z"), [""; 0]);
    }

    #[test]
    fn a_clock_that_went_back_deletes_nothing() {
        let runs: Vec<FolderFacts> = (1..=5).map(|day| folder(Some("a"), day, false)).collect();
        assert_eq!(days(&runs, "2020-01-01T00:00:00Z"), [""; 0]);
    }
}

mod image_store {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn image(id: &str, gib: u64, day: Option<u8>) -> ImageFacts {
        ImageFacts {
            id: id.to_owned(),
            bytes: gib * GIB,
            is_in_use: false,
            last_used: day.map(|day| format!("2026-01-{day:02}T00:00:00Z").parse().unwrap()),
        }
    }

    fn disk(free: u64) -> Disk {
        Disk { total: 100 * GIB, free: free * GIB }
    }

    #[test]
    fn a_disk_with_room_keeps_every_image() {
        let all = [image("a", 50, Some(1))];
        assert_eq!(images(&all, disk(20), 80, Activity::Quiet), ImageFate::RoomEnough);
    }

    #[test]
    fn the_least_recently_used_go_first_and_only_as_many_as_it_takes() {
        let all = [image("new", 5, Some(9)), image("old", 3, Some(1)), image("middle", 2, Some(5))];
        let fate = images(&all, disk(16), 80, Activity::Quiet);
        assert_eq!(fate, ImageFate::Remove(vec!["old".to_owned(), "middle".to_owned()]));
        assert_eq!(images(&all, disk(17), 80, Activity::Quiet), ImageFate::Remove(vec!["old".to_owned()]));
    }

    #[test]
    fn no_image_goes_while_a_run_lives() {
        let all = [image("a", 50, Some(1))];
        let ImageFate::Keep(reason) = images(&all, disk(1), 80, Activity::Runs(2)) else { panic!() };
        assert_eq!(reason, "the disk is 99 % full, but 2 runs are under way");
    }

    #[test]
    fn images_in_use_and_images_of_others_stay() {
        let used = ImageFacts { is_in_use: true, ..image("used", 50, Some(1)) };
        let foreign = image("foreign", 50, None);
        let ImageFate::Keep(reason) = images(&[used, foreign], disk(1), 80, Activity::Quiet) else {
            panic!()
        };
        assert!(reason.ends_with("no unused image of a run is left to remove"), "{reason}");
    }

    #[test]
    fn a_disk_that_says_nothing_about_itself_removes_nothing() {
        let nothing = Disk { total: 0, free: 0 };
        assert_eq!(images(&[image("a", 1, Some(1))], nothing, 80, Activity::Quiet), ImageFate::RoomEnough);
    }
}
