//! What lies on a swarm at one moment, and the difference between such moments: the evidence of a teardown.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::names::{RunId, StackName};

/// The stack that runs must never change, made by `cc-ci-activate swarm`.
pub const WITNESS_STACK: &str = "cc-ci-witness";

/// Label by which `docker stack deploy` and the native deployer mark what belongs to a stack.
pub const STACK_LABEL: &str = "com.docker.stack.namespace";

/// Label by which a run marks what it made; the value is the run id.
pub const RUN_LABEL: &str = "cc-ci.run";

/// Kinds of objects on a swarm that a run can leave behind.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A swarm service.
    Service,
    /// A task of a service; swarm keeps ended ones as history.
    Task,
    /// A container, running or stopped.
    Container,
    /// A network of any driver; one that never got a subnet has none.
    Network,
    /// A volume, named or anonymous.
    Volume,
    /// A swarm secret.
    Secret,
    /// A swarm config.
    Config,
}

impl Kind {
    /// The kind as a person reads it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Task => "task",
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }
}

/// One object on the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Docker's id; volumes have none and are named here again.
    pub id: String,
    /// Its name; tasks are named by service and slot.
    pub name: String,
    /// The stack it says it belongs to, by label; for an anonymous volume, the stack of the container that mounts it.
    pub stack: Option<String>,
    /// The run that marked it.
    pub run: Option<RunId>,
    /// Digest of what makes it up (see [`fingerprint`]); equal digests mean that nothing changed.
    pub fingerprint: String,
}

impl Object {
    /// Whether this is a volume without a name of its own: Docker names those with 64 hex digits.
    #[must_use]
    pub fn is_anonymous_volume(&self) -> bool {
        self.kind == Kind::Volume && is_anonymous_volume_name(&self.name)
    }

    /// Whether the object belongs to the stack: by its label, or without any label by the prefix `<stack>_`.
    ///
    /// A label of another stack beats the name.
    #[must_use]
    pub fn belongs_to(&self, stack: &StackName) -> bool {
        match &self.stack {
            Some(label) => label == stack.as_str(),
            None => self.name.starts_with(&stack.prefix()),
        }
    }

    /// Kind and name as a person reads them, e.g. `volume app_data`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.word(), self.name)
    }

    fn key(&self) -> (Kind, &str) {
        (self.kind, &self.id)
    }
}

/// Whether a volume's name is one that Docker made up: 64 lower-case hex digits.
#[must_use]
pub fn is_anonymous_volume_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Everything on a swarm at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    objects: Vec<Object>,
}

impl Inventory {
    /// Takes what a survey found; sorted by kind, name and id.
    #[must_use]
    pub fn new(mut objects: Vec<Object>) -> Self {
        objects.sort_by(|a, b| (a.kind, &a.name, &a.id).cmp(&(b.kind, &b.name, &b.id)));
        Self { objects }
    }

    /// All objects.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// What belongs to a run's stack, see [`Object::belongs_to`].
    #[must_use]
    pub fn of_stack(&self, stack: &StackName) -> Self {
        Self { objects: self.objects.iter().filter(|object| object.belongs_to(stack)).cloned().collect() }
    }

    /// What carries the label of a stack that is no run's, e.g. [`WITNESS_STACK`].
    #[must_use]
    pub fn labelled(&self, stack: &str) -> Self {
        let ours = |object: &&Object| object.stack.as_deref() == Some(stack);
        Self { objects: self.objects.iter().filter(ours).cloned().collect() }
    }

    /// Objects of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |object| object.kind == kind)
    }

    /// How many objects of each kind there are; kinds without objects are left out.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        count(self.objects.iter())
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Kind and name of every object.
    #[must_use]
    pub fn titles(&self) -> Vec<String> {
        self.objects.iter().map(Object::title).collect()
    }

    fn keys(&self) -> BTreeMap<(Kind, &str), &Object> {
        self.objects.iter().map(|object| (object.key(), object)).collect()
    }
}

fn count<'a>(objects: impl Iterator<Item = &'a Object>) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for object in objects {
        *counts.entry(object.kind).or_default() += 1;
    }
    counts
}

/// What a run made and what became of it: `teardown` in `result.json`.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct TeardownEvidence {
    /// Objects of the run's stacks that were not there before the run, by kind.
    pub created: BTreeMap<Kind, usize>,
    /// How many of them are gone.
    pub removed: BTreeMap<Kind, usize>,
    /// Kind and name of what the run left behind; empty after a clean run.
    pub left: Vec<String>,
    /// Kind and name of what changed in the stacks that no run may change; empty after a clean run.
    pub witness_changed: Vec<String>,
    /// How many other people's objects came, went or changed meanwhile; counted, never judged.
    pub others_changed: usize,
}

/// The moments of a run that are compared.
#[derive(Debug, Clone, Copy)]
pub struct Moments<'a> {
    /// Before the run made anything.
    pub before: &'a Inventory,
    /// Just before the teardown, when everything the run made is there.
    pub deployed: &'a Inventory,
    /// After the teardown.
    pub after: &'a Inventory,
}

/// What a run's stacks made, what of it was removed and what stayed; and what changed in the `watched` stacks
/// (the witness and infrastructure) and among everybody else's objects.
///
/// Something left is found by label, by name, and by identity: an anonymous volume whose container is gone
/// is recognised because it was the stack's before the teardown. Tasks of others are not counted as changes:
/// they are the history of services.
#[must_use]
pub fn difference(moments: Moments<'_>, stacks: &[StackName], watched: &[&str]) -> TeardownEvidence {
    let Moments { before, deployed, after } = moments;
    let (known, remaining) = (before.keys(), after.keys());
    let is_ours = |object: &Object| stacks.iter().any(|stack| object.belongs_to(stack));
    let made: Vec<&Object> = deployed
        .objects
        .iter()
        .filter(|object| is_ours(object) && !known.contains_key(&object.key()))
        .collect();
    let made_keys: BTreeSet<(Kind, &str)> = made.iter().map(|object| object.key()).collect();
    let left =
        after.objects.iter().filter(|object| is_ours(object) || made_keys.contains(&object.key())).collect();
    let left: Vec<&Object> = left;
    let is_watched = |object: &Object| object.stack.as_deref().is_some_and(|stack| watched.contains(&stack));
    let others = |object: &&Object| {
        !is_ours(object)
            && !is_watched(object)
            && object.kind != Kind::Task
            && !made_keys.contains(&object.key())
    };
    let came_or_changed = after
        .objects
        .iter()
        .filter(others)
        .filter(|object| known.get(&object.key()).is_none_or(|was| was.fingerprint != object.fingerprint))
        .count();
    let went =
        before.objects.iter().filter(others).filter(|object| !remaining.contains_key(&object.key())).count();
    TeardownEvidence {
        created: count(made.iter().copied()),
        removed: count(made.iter().copied().filter(|object| !remaining.contains_key(&object.key()))),
        left: left.into_iter().map(Object::title).collect(),
        witness_changed: watched
            .iter()
            .flat_map(|stack| changed(&before.labelled(stack), &after.labelled(stack)))
            .collect(),
        others_changed: came_or_changed + went,
    }
}

/// Kind and name of what a recipe made outside its stack and left behind: it came during the run, belongs to no stack and to no
/// run, and carries the app's name or domain within its own. Neither the deployer nor the engine names anything so.
#[must_use]
pub fn made_outside(before: &Inventory, after: &Inventory, stack: &StackName) -> Vec<String> {
    let known = before.keys();
    let domain = stack.as_str().replace('_', ".");
    let is_named = |name: &str| name.contains(stack.as_str()) || name.contains(&domain);
    let outside = |object: &&Object| {
        !known.contains_key(&object.key())
            && !object.belongs_to(stack)
            && object.stack.is_none()
            && object.run.is_none()
            && is_named(&object.name)
    };
    after.objects.iter().filter(outside).map(Object::title).collect()
}

/// Kind and name of each object that came, went, was replaced or changed between two views of one stack.
///
/// Tasks and containers are left out: swarm replaces them on its own, the service's spec tells what was asked for.
#[must_use]
pub fn changed(before: &Inventory, after: &Inventory) -> Vec<String> {
    let made_of = |inventory: &Inventory| -> BTreeMap<(Kind, String), (String, String)> {
        inventory
            .objects
            .iter()
            .filter(|object| !matches!(object.kind, Kind::Task | Kind::Container))
            .map(|object| {
                ((object.kind, object.name.clone()), (object.id.clone(), object.fingerprint.clone()))
            })
            .collect()
    };
    let (before, after) = (made_of(before), made_of(after));
    let names: BTreeSet<&(Kind, String)> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|(kind, name)| format!("{} {name}", kind.word()))
        .collect()
}

/// Digest of a JSON value that does not depend on the order of keys: the first 16 hex digits of SHA-256.
#[must_use]
pub fn fingerprint(value: &serde_json::Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn write_canonical(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Object(map) => {
            let sorted: BTreeMap<&String, &serde_json::Value> = map.iter().collect();
            out.push('{');
            for (key, inner) in sorted {
                out.push_str(&serde_json::Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(inner, out);
                out.push(',');
            }
            out.push('}');
        }
        serde_json::Value::Array(list) => {
            out.push('[');
            for inner in list {
                write_canonical(inner, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Zone;

    fn stack() -> StackName {
        StackName::parse_in("app1-c95a69_ci_example_org", &Zone::parse("ci.example.org").unwrap()).unwrap()
    }

    fn object(kind: Kind, name: &str, stack: Option<&str>) -> Object {
        Object {
            kind,
            id: format!("id-{name}"),
            name: name.to_owned(),
            stack: stack.map(str::to_owned),
            run: None,
            fingerprint: "a".to_owned(),
        }
    }

    fn evidence(before: &[Object], deployed: &[Object], after: &[Object]) -> TeardownEvidence {
        let (before, deployed, after) = (
            Inventory::new(before.to_vec()),
            Inventory::new(deployed.to_vec()),
            Inventory::new(after.to_vec()),
        );
        let moments = Moments { before: &before, deployed: &deployed, after: &after };
        difference(moments, &[stack()], &[WITNESS_STACK])
    }

    #[test]
    fn a_stack_owns_what_is_labelled_and_what_is_named_below_it() {
        let name = "app1-c95a69_ci_example_org";
        let belongs = |kind, object_name: &str, label| object(kind, object_name, label).belongs_to(&stack());
        assert!(belongs(Kind::Network, "anything", Some(name)));
        assert!(belongs(Kind::Secret, &format!("{name}_db_pw_v1"), None));
        assert!(!belongs(Kind::Secret, &format!("{name}0_db_pw_v1"), None), "the underscore is part of it");
        assert!(
            !belongs(Kind::Secret, name, None),
            "an unlabelled object of the bare name is not the stack's"
        );
        assert!(!belongs(Kind::Volume, &format!("{name}_data"), Some("other")), "a label beats the name");
    }

    #[test]
    fn residue_after_teardown_turns_the_run_red() {
        let name = stack().to_string();
        for (kind, label) in [
            (Kind::Service, Some(name.as_str())),
            (Kind::Task, Some(name.as_str())),
            (Kind::Container, Some(name.as_str())),
            (Kind::Network, Some(name.as_str())),
            (Kind::Volume, None),
            (Kind::Secret, None),
            (Kind::Config, Some(name.as_str())),
        ] {
            let planted = object(kind, &format!("{name}_planted"), label);
            let left = evidence(&[], std::slice::from_ref(&planted), std::slice::from_ref(&planted)).left;
            assert_eq!(left, [planted.title()]);
            let clean = evidence(&[], std::slice::from_ref(&planted), &[]);
            assert_eq!(clean.left, [""; 0]);
            assert_eq!(clean.created, clean.removed);
            assert_eq!(clean.removed[&kind], 1);
        }
    }

    #[test]
    fn residue_that_appears_only_during_teardown_is_named_too() {
        let late = object(Kind::Container, "late", Some(stack().as_str()));
        assert_eq!(evidence(&[], &[], &[late]).left, ["container late"]);
    }

    #[test]
    fn an_anonymous_volume_is_recognised_after_its_container_is_gone() {
        let name = "a1".repeat(32);
        let mounted = object(Kind::Volume, &name, Some(stack().as_str()));
        let orphaned = object(Kind::Volume, &name, None);
        assert!(mounted.is_anonymous_volume());
        let evidence = evidence(&[], &[mounted], &[orphaned]);
        assert_eq!(evidence.left, [format!("volume {name}")]);
        assert_eq!((evidence.others_changed, evidence.removed.len()), (0, 0));
    }

    #[test]
    fn other_peoples_objects_are_counted_and_never_judged() {
        let mut changed = object(Kind::Service, "wiki", Some("wiki"));
        let before = [changed.clone(), object(Kind::Volume, "gone", None), object(Kind::Task, "t", None)];
        changed.fingerprint = "b".to_owned();
        let after = [changed, object(Kind::Network, "came", Some("blog"))];
        let evidence = evidence(&before, &before, &after);
        assert_eq!(evidence.others_changed, 3);
        assert_eq!((evidence.left.len(), evidence.witness_changed.len()), (0, 0));
    }

    #[test]
    fn what_a_recipe_made_outside_its_stack_is_told_by_the_name_it_carries() {
        let own = stack().to_string();
        let outside = object(Kind::Volume, &format!("copy-of-{own}_data"), None);
        let by_domain = object(Kind::Network, "x-app1-c95a69.ci.example.org", None);
        let old = object(Kind::Volume, &format!("old-{own}"), None);
        let after = [
            outside.clone(),
            by_domain.clone(),
            old.clone(),
            object(Kind::Volume, &format!("{own}_data"), None),
            object(Kind::Volume, "unrelated", None),
            object(Kind::Service, &format!("mirror-{own}"), Some("wiki")),
        ];
        let (before, after) = (Inventory::new(vec![old]), Inventory::new(after.to_vec()));
        assert_eq!(made_outside(&before, &after, &stack()), [by_domain.title(), outside.title()]);
    }

    #[test]
    fn exactly_the_changed_witness_object_is_named() {
        let part = |kind, name: &str| object(kind, name, Some(WITNESS_STACK));
        let before = [
            part(Kind::Service, "cc-ci-witness_app"),
            part(Kind::Volume, "cc-ci-witness_data"),
            part(Kind::Secret, "cc-ci-witness_key"),
            part(Kind::Container, "cc-ci-witness_app.1.x"),
        ];
        assert_eq!(evidence(&before, &before, &before).witness_changed, [""; 0]);

        let mut touched = before.clone();
        touched[0].fingerprint = "scaled".to_owned();
        touched[3].id = "replaced by swarm".to_owned();
        assert_eq!(evidence(&before, &before, &touched).witness_changed, ["service cc-ci-witness_app"]);

        let mut replaced = before.clone();
        replaced[2].id = "another secret of that name".to_owned();
        assert_eq!(evidence(&before, &before, &replaced).witness_changed, ["secret cc-ci-witness_key"]);

        let lost = [before[0].clone(), before[2].clone()];
        assert_eq!(evidence(&before, &before, &lost).witness_changed, ["volume cc-ci-witness_data"]);
        assert_eq!(evidence(&before, &before, &lost).others_changed, 0);
    }

    #[test]
    fn what_was_there_before_the_run_is_not_counted_as_made_by_it() {
        let old = object(Kind::Volume, &format!("{}_old", stack()), None);
        let evidence = evidence(std::slice::from_ref(&old), std::slice::from_ref(&old), &[]);
        assert_eq!((evidence.created.len(), evidence.removed.len(), evidence.left.len()), (0, 0, 0));
    }

    #[test]
    fn fingerprints_ignore_the_order_of_keys_and_nothing_else() {
        let of = |text: &str| fingerprint(&serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"a":1,"b":[{"c":2,"d":"x"}]}"#), of(r#"{"b":[{"d":"x","c":2}],"a":1}"#));
        assert_ne!(of(r#"{"a":[1,2]}"#), of(r#"{"a":[2,1]}"#));
        assert_ne!(of(r#"{"a":"1"}"#), of(r#"{"a":1}"#));
    }
}
