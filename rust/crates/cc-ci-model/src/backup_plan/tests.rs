use super::*;
use crate::compose::{ComposeSource, read};
use crate::names::Zone;

const STACK: &str = "cust-c95a69_ci_test";

fn facts(labels: &str, db_labels: &str) -> BTreeMap<String, ServiceFacts> {
    let text = format!(
        "version: \"3.8\"\nservices:\n  app:\n    image: a\n    volumes: [\"content:/c\", \"cache:/k\", \"/bare\"]\n    deploy: {{labels: [{labels}]}}\n  \
         db:\n    image: b\n    volumes: [\"data:/d\"]\n    deploy: {{labels: [{db_labels}]}}\nvolumes: {{content: {{}}, cache: {{}}, data: {{}}}}\n"
    );
    let source = ComposeSource { path: "compose.yml".into(), text };
    let compose = read(&[source], &BTreeMap::new(), &|_| None).unwrap();
    facts_of(&compose, &StackName::parse_in(STACK, &Zone::parse("ci.test").unwrap()).unwrap())
}

fn whole(labels: &str, db_labels: &str) -> Vec<String> {
    backup_plan(&facts(labels, db_labels)).map(|plan| plan.whole_volumes()).unwrap_or_default()
}

fn full(volume: &str) -> String {
    format!("{STACK}_{volume}")
}

#[test]
fn only_volumes_that_are_backed_up_whole_may_hold_a_marker() {
    let all = ["cache", "content", "data"].map(full);
    assert_eq!(whole("backupbot.backup=true", ""), all);
    assert_eq!(whole("", ""), Vec::<String>::new());
    assert_eq!(whole("backupbot.backup=false", ""), Vec::<String>::new());
    let left_out = "backupbot.backup=true,backupbot.backup.volumes.cache=false";
    assert_eq!(whole(left_out, ""), [all[1].clone(), all[2].clone()]);
    assert_eq!(whole("backupbot.backup=true", "backupbot.backup.volumes.data.path=dump.sql"), all[..2]);
    assert_eq!(whole("backupbot.backup=true", "backupbot.backup.pre-hook=/dump.sh"), all[..2]);
}

#[test]
fn volume_in_memory_holds_no_marker_and_is_in_no_backup() {
    let text = "services:\n  app:\n    image: a\n    volumes: [\"content:/c\", \"fast:/f\"]\n    deploy: {labels: [backupbot.backup=true]}\n\
         volumes: {content: {}, fast: {driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}}\n";
    let source = ComposeSource { path: "compose.yml".into(), text: text.into() };
    let compose = read(&[source], &BTreeMap::new(), &|_| None).unwrap();
    let stack = StackName::parse_in(STACK, &Zone::parse("ci.test").unwrap()).unwrap();
    assert_eq!(whole_volumes(&compose, &stack), [full("content")]);
    assert_eq!(lasting_volumes(&compose, &stack), [full("content")]);
    let plan = backup_plan(&facts_of(&compose, &stack)).unwrap();
    assert_eq!(plan.left_out, [(full("fast"), "in memory, and nothing in it lasts".to_owned())]);
}

#[test]
fn labels_say_which_paths_of_which_volumes_and_which_hooks() {
    let labels = "backupbot.backup=true,backupbot.backup.volumes.cache=false";
    let db = "\"backupbot.backup.volumes.data.path=dump.sql, ./extra/\",backupbot.backup.pre-hook=/dump,backupbot.restore.post-hook=/load";
    let plan = backup_plan(&facts(labels, db)).unwrap();
    let root = "/var/lib/docker/volumes";
    assert_eq!(
        plan.archived_paths(),
        [
            format!("{root}/{STACK}_content/_data"),
            format!("{root}/{STACK}_data/_data/dump.sql"),
            format!("{root}/{STACK}_data/_data/extra"),
        ]
    );
    assert_eq!(plan.left_out, [(full("cache"), "left out by its label".to_owned())]);
    assert!(plan.volumes[&full("data")].is_dumped && !plan.volumes[&full("content")].is_dumped);
    let hooks = Hooks {
        before_backup: Some("/dump".into()),
        after_restore: Some("/load".into()),
        ..Hooks::default()
    };
    assert_eq!(plan.hooks, BTreeMap::from([("db".to_owned(), hooks)]));
    assert_eq!((plan.faults, plan.warnings), (vec![], vec![]));
}

#[test]
fn a_label_without_effect_is_named_with_the_nearest_known_key() {
    let labels = "backupbot.backup=true,backupbot.backup.command=/x,backupbot.backup.volumes.nope=false";
    let plan = backup_plan(&facts(labels, "backupbot.backup=true,backupbot.restore.hook=/y")).unwrap();
    let text = plan.warnings.join("\n");
    for words in [
        "backupbot.backup.command has no effect; did you mean backupbot.backup",
        "backupbot.restore.hook has no effect; did you mean backupbot.restore.p",
        "a volume nope, which no service mounts",
        "is on at app, db",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn meaning_of_the_backup_path_label_is_pinned() {
    // As the bot was reported to do: the older label has no effect, and the volume is archived whole.
    let plan = backup_plan(&facts("backupbot.backup=true", "backupbot.backup.path=/d/dump.sql")).unwrap();
    assert_eq!(plan.volumes[&full("data")].selection, Selection::Whole);
    let text = plan.warnings.join("\n");
    assert!(text.contains("backupbot.backup.path has no effect, the volumes are archived whole"), "{text}");
}

#[test]
fn labels_that_archive_nothing_or_lead_out_of_the_volume_are_faults() {
    let fault = |labels: &str, db: &str| backup_plan(&facts(labels, db)).unwrap().faults.join("; ");
    let nothing =
        "backupbot.backup=true,backupbot.backup.volumes.cache=false,backupbot.backup.volumes.content=false";
    let found = fault(nothing, "backupbot.backup.volumes.data=false");
    assert!(found.contains("nothing would be archived") && found.contains("data is left out"), "{found}");
    for path in ["/var/lib/x", "../x", "a/../../x"] {
        let found = fault("backupbot.backup=true", &format!("backupbot.backup.volumes.data.path={path}"));
        assert!(found.contains("no path inside the volume"), "{found}");
    }
}

#[test]
fn a_dump_hook_without_a_restore_hook_is_named() {
    let plan = backup_plan(&facts("backupbot.backup=true", "backupbot.backup.pre-hook=/dump")).unwrap();
    assert_eq!(plan.without_restore_hook().collect::<Vec<_>>(), ["db"]);
    assert!(plan.warnings.join("").contains("what it dumped does not"), "{:?}", plan.warnings);
}

fn node(path: &str, kind: NodeKind, size: u64) -> Archived {
    Archived { path: format!("{}{path}", folder_of(&full("data"))), kind, size }
}

#[test]
fn a_snapshot_that_lacks_a_path_or_holds_it_empty_is_found_out() {
    let mut all = facts("backupbot.backup=true", "\"backupbot.backup.volumes.data.path=dump.sql,media\"");
    all.get_mut("app").unwrap().volumes.clear();
    let plan = backup_plan(&all).unwrap();
    let messages = |nodes: &[Archived]| {
        faults(&plan, &[], nodes).into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; ")
    };
    let (dump, media) = (node("/dump.sql", NodeKind::File, 9), node("/media", NodeKind::Folder, 0));
    let picture = node("/media/a.png", NodeKind::File, 3);
    assert_eq!(messages(&[dump.clone(), media.clone(), picture.clone()]), "");
    assert!(messages(&[media.clone(), picture.clone()]).contains("dump.sql of volume"));
    assert!(messages(&[Archived { size: 0, ..dump.clone() }, media.clone(), picture]).contains("is empty"));
    assert!(messages(&[dump, media]).contains("media of volume"));
}

#[test]
fn a_whole_volume_without_its_marker_is_found_out() {
    let plan = backup_plan(&facts("backupbot.backup=true", "")).unwrap();
    let folders: Vec<Archived> = plan
        .archived_paths()
        .into_iter()
        .map(|path| Archived { path, kind: NodeKind::Folder, size: 0 })
        .collect();
    let marker = ExpectedMarker { volume: full("data"), file: ".m".into(), size: 28 };
    let found = |nodes: &[Archived]| faults(&plan, std::slice::from_ref(&marker), nodes).len();
    let with = |size| folders.iter().cloned().chain([node("/.m", NodeKind::File, size)]).collect::<Vec<_>>();
    assert_eq!((found(&with(28)), found(&with(27)), found(&folders)), (0, 1, 1));
    assert_eq!(faults(&plan, &[], &folders).len(), 1, "not one byte of data");
    assert_eq!(faults(&plan, &[], &with(28)[1..]).len(), 1, "one of three volumes");
}

#[test]
fn a_dump_is_judged_by_its_end() {
    let dump = |head: &str, tail: &str| DumpEnd {
        bytes: 100,
        head: head.to_owned(),
        tail: tail.to_owned(),
        broken: None,
    };
    let judged = |dump: &DumpEnd| judge_dump(dump).err().unwrap_or_default();
    assert_eq!(judged(&dump("-- MariaDB dump 10.19\n", "\n-- Dump completed on 2026-01-02\n")), "");
    assert!(judged(&dump("-- MySQL dump 10.13\n", "INSERT INTO `po")).contains("truncated"));
    let cluster = "--\n-- PostgreSQL database cluster dump\n--\n";
    let inner = "-- PostgreSQL database dump complete\n";
    assert!(judged(&dump(cluster, inner)).contains("pg_dumpall"));
    assert_eq!(judged(&dump("anything", "else")), "");
    assert_eq!(judged(&DumpEnd { bytes: 0, ..dump("", "") }), "is empty");
    let broken = DumpEnd { broken: Some("unexpected end of file".into()), ..dump("x", "x") };
    assert!(judged(&broken).contains("unexpected end of file"));
}
