//! The lock protocol, every interleaving of its steps: never two owners, never a living run reaped.
//!
//! The steps are those of `lock.rs`, one kernel call each: open (making the file), try to lock, compare the name with
//! what was locked, work, unlink, close. Each actor may be killed between any two of them. The kernel's part (a name, files
//! behind it, one lock per file that goes with its holder) is modelled; the real kernel is tried in `locks.rs`.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::HashSet;

/// Whether the actors compare the name with the file they locked, as the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    AsWritten,
    /// What the comparison is there for: without it there are two owners.
    WithoutComparison,
    /// Unlinking after letting go instead of before.
    UnlinkAfterRelease,
    /// Asking without keeping the lock while removing.
    ReapAfterRelease,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    /// Makes a stack, removes it, unlinks.
    Run,
    /// Removes what is there once it has the lock, unlinks.
    Janitor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Open,
    TryLock,
    Compare,
    Work,
    Unlink,
    Release,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Actor {
    role: Role,
    step: Step,
    /// The file it has open.
    file: Option<u8>,
    /// How often it has found the file replaced or held; bounded, so that the states are finite.
    tries: u8,
    /// It believes that it owns the domain.
    owns: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    actors: Vec<Actor>,
    /// The file that the name leads to.
    named: Option<u8>,
    /// Who holds the lock of each file ever made.
    locked_by: Vec<Option<usize>>,
    /// Who made the stack that is on the swarm.
    stack_of: Option<usize>,
}

const TRIES: u8 = 3;

impl World {
    fn new(roles: &[Role]) -> Self {
        let actor = |role: &Role| Actor { role: *role, step: Step::Open, file: None, tries: 0, owns: false };
        Self { actors: roles.iter().map(actor).collect(), named: None, locked_by: Vec::new(), stack_of: None }
    }

    /// What the next step of an actor leads to; `None` where it has none.
    fn after(&self, who: usize, protocol: Protocol) -> Option<Result<Self, String>> {
        let mut world = self.clone();
        let actor = world.actors[who];
        match actor.step {
            Step::Over => return None,
            Step::Open => {
                let file = world.named.unwrap_or_else(|| {
                    world.locked_by.push(None);
                    u8::try_from(world.locked_by.len() - 1).unwrap()
                });
                world.named = Some(file);
                world.actors[who].file = Some(file);
                world.actors[who].step = Step::TryLock;
            }
            Step::TryLock => {
                let lock = &mut world.locked_by[usize::from(actor.file.unwrap())];
                if lock.is_none() {
                    *lock = Some(who);
                    world.actors[who].step = Step::Compare;
                } else {
                    world.start_over(who);
                }
            }
            Step::Compare if protocol != Protocol::WithoutComparison && world.named != actor.file => {
                world.release(who);
                world.start_over(who);
            }
            Step::Compare => {
                world.actors[who].owns = true;
                world.actors[who].step = match (protocol, actor.role) {
                    (Protocol::ReapAfterRelease, Role::Janitor) => Step::Release,
                    _ => Step::Work,
                };
            }
            Step::Work => {
                match actor.role {
                    Role::Run => world.stack_of = Some(who),
                    Role::Janitor => {
                        let is_living =
                            world.stack_of.is_some_and(|run| world.actors[run].step != Step::Over);
                        if is_living {
                            return Some(Err(format!("a living run was reaped by {who}")));
                        }
                        world.stack_of = None;
                    }
                }
                world.actors[who].step = match protocol {
                    Protocol::UnlinkAfterRelease | Protocol::ReapAfterRelease if actor.file.is_some() => {
                        Step::Release
                    }
                    _ => Step::Unlink,
                };
                if protocol == Protocol::ReapAfterRelease && actor.role == Role::Janitor {
                    world.actors[who].step = Step::Over;
                }
            }
            Step::Unlink => {
                // By name, whatever it leads to by now: the kernel knows no other way.
                if actor.role == Role::Run && world.stack_of == Some(who) {
                    world.stack_of = None;
                }
                world.named = None;
                // Unlinking uses the lock up: whoever held it does nothing to the stack any more.
                world.actors[who].owns = false;
                world.actors[who].step = if actor.file.is_some() { Step::Release } else { Step::Over };
            }
            Step::Release => {
                if actor.role == Role::Run && world.stack_of == Some(who) {
                    world.stack_of = None;
                }
                world.release(who);
                world.actors[who].step = match (protocol, actor.role) {
                    (Protocol::UnlinkAfterRelease, _) => Step::Unlink,
                    (Protocol::ReapAfterRelease, Role::Janitor) => Step::Work,
                    _ => Step::Over,
                };
            }
        }
        let owners = world.actors.iter().filter(|actor| actor.owns).count();
        Some(if owners > 1 { Err("two owners".to_owned()) } else { Ok(world) })
    }

    /// SIGKILL: the kernel closes what it had open; what it made stays.
    fn killed(&self, who: usize) -> Option<Self> {
        let mut world = self.clone();
        if world.actors[who].step == Step::Over {
            return None;
        }
        world.release(who);
        world.actors[who].step = Step::Over;
        Some(world)
    }

    fn release(&mut self, who: usize) {
        if let Some(file) = self.actors[who].file.take() {
            let lock = &mut self.locked_by[usize::from(file)];
            if *lock == Some(who) {
                *lock = None;
            }
        }
        self.actors[who].owns = false;
    }

    fn start_over(&mut self, who: usize) {
        self.actors[who].file = None;
        self.actors[who].tries += 1;
        let is_tired = self.actors[who].tries >= TRIES;
        self.actors[who].step = if is_tired { Step::Over } else { Step::Open };
    }
}

/// Walks through every state that can be reached; the number of states, or the steps to the first wrong one.
fn explore(roles: &[Role], protocol: Protocol) -> Result<usize, String> {
    let mut seen = HashSet::new();
    let mut open = vec![(World::new(roles), Vec::new())];
    while let Some((world, path)) = open.pop() {
        if !seen.insert(world.clone()) {
            continue;
        }
        for who in 0..roles.len() {
            let mut on = |next: World, what: String| {
                let mut path: Vec<String> = path.clone();
                path.push(what);
                open.push((next, path));
            };
            match world.after(who, protocol) {
                Some(Ok(next)) => on(next, format!("{who} {:?}", world.actors[who].step)),
                Some(Err(what)) => {
                    return Err(format!("{what} after {path:?} and {who} {:?}", world.actors[who].step));
                }
                None => {}
            }
            if let Some(next) = world.killed(who) {
                on(next, format!("{who} killed"));
            }
        }
    }
    Ok(seen.len())
}

const CASTS: [&[Role]; 4] = [
    &[Role::Run, Role::Run],
    &[Role::Run, Role::Janitor],
    &[Role::Run, Role::Run, Role::Janitor],
    &[Role::Run, Role::Janitor, Role::Janitor],
];

#[test]
fn no_interleaving_leads_to_two_owners_or_reaps_a_living_run() {
    for roles in CASTS {
        let states = explore(roles, Protocol::AsWritten).unwrap_or_else(|wrong| panic!("{roles:?}: {wrong}"));
        assert!(states > 100, "{roles:?}: only {states} states, the walk ended early");
    }
}

#[test]
fn without_the_comparison_of_names_the_walk_finds_two_owners() {
    let found = CASTS.iter().find_map(|roles| explore(roles, Protocol::WithoutComparison).err());
    let found = found.expect("the comparison is what keeps two owners apart");
    assert!(found.starts_with("two owners") || found.contains("living run"), "{found}");
}

#[test]
fn unlinking_after_letting_go_is_found_out() {
    let found = CASTS.iter().find_map(|roles| explore(roles, Protocol::UnlinkAfterRelease).err());
    assert!(found.is_some(), "the file is unlinked while the lock is held, or a newcomer's file goes");
}

#[test]
fn reaping_after_the_probe_let_go_reaps_a_living_run() {
    let found = CASTS.iter().find_map(|roles| explore(roles, Protocol::ReapAfterRelease).err());
    assert!(found.is_some_and(|found| found.contains("living run was reaped")));
}
