//! Apps without a page, what `[[ready]]` waits for, and a task that is replaced while it is looked at.

use cc_ci_model::recipe_toml::{HttpReady, ReadyLook, TcpLook};
use cc_ci_model::result::{CheckReport, Origin};
use cc_ci_model::serves::Serves;

use super::{Attached, Examiner, Web, not_attached, relay_job};
use crate::checks::{Looking, Seen, Unseen};
use crate::hands::TaskProbe;
use crate::swarm_hands::{LockedHands, SwarmHands};
use crate::tier_run::{TierRun, TierStop};
use crate::way::Way;

/// So many connections in a row show that a port is there to stay.
const STABLE: u8 = 3;

impl Web {
    /// What lies between us and the page.
    pub(super) fn way(&self) -> Way<'_> {
        Way {
            unknown: self.unknown.as_ref(),
            door: Some(&self.door),
            relay: Some((&self.docker, &self.relay)),
        }
    }
}

impl Examiner<'_> {
    /// The generic floor of an app without a page: its TCP ports take connections; where it has none either, its tasks run.
    pub(super) async fn without_a_page(
        &self,
        tier: &mut TierRun,
        attached: &Attached,
    ) -> Result<(), TierStop> {
        let name = tier.tier();
        let reach = &attached.reach;
        let unseen = if reach.unseen.is_empty() {
            String::new()
        } else {
            format!("; not looked at: {}", reach.unseen.join(", "))
        };
        if reach.serves != Serves::Tcp {
            let tasks: usize = attached.running.values().map(Vec::len).sum();
            let what = if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") };
            let message = format!("{what}; nobody could be asked, as {}{unseen}", reach.why);
            tier.passed("its tasks run", std::time::Instant::now(), message);
            return Ok(());
        }
        let mut ports = reach.tcp.clone();
        if ports.is_empty() {
            let service = reach.web.service.clone();
            let port = self.port_of(tier, &attached.hands, &service).await?;
            ports.push((service, port));
        }
        self.reporter.progress("waiting for the app to take connections");
        let evidence = self.evidence(name);
        for (service, port) in ports {
            let title = format!("service {service} takes connections on port {port}");
            let report = self
                .looking(name, &evidence, async |looking| {
                    looking
                        .report(&title, self.http_limit, || async {
                            looking.probe.connects(Some(&service), port, STABLE).await?;
                            Ok(Seen::Right(format!("{STABLE} in a row, {}{unseen}", reach.why)))
                        })
                        .await
                })
                .await?;
            let (status, said) = (report.status, report.message.clone());
            tier.record(CheckReport { origin: Origin::Generic, ..report });
            self.stop_for(name, status, &said)?;
        }
        tier.answered();
        Ok(())
    }

    /// Waits for everything of `[[ready]]`, once in each tier.
    pub(super) async fn ready(&mut self, tier: &mut TierRun) -> Result<(), TierStop> {
        let name = tier.tier();
        let Some(attached) = &self.attached else { return Err(not_attached(name)) };
        // A check of a tier without a deploy of its own still wants what it stands on to be there.
        if attached.ready_in == Some(name) {
            return Ok(());
        }
        let evidence = self.evidence(name);
        for ready in &self.setup.recipe_toml.ready {
            self.reporter.progress(&format!("waiting for {}", ready.name));
            let title = format!("ready: {}", ready.name);
            let (lock, limit) = (self.lock, self.http_limit);
            let report = self
                .looking(name, &evidence, async |looking| {
                    let report = looking.report(&title, limit, || async {
                        match &ready.look {
                            ReadyLook::Tcp(look) => tcp(looking, look).await,
                            ReadyLook::Http(look) => {
                                http(looking, LockedHands { hands: looking.hands, lock }, look).await
                            }
                        }
                    });
                    report.await
                })
                .await?;
            let (status, said) = (report.status, report.message.clone());
            tier.record(report);
            self.stop_for(name, status, &said)?;
        }
        if let Some(attached) = &mut self.attached {
            attached.ready_in = Some(name);
        }
        Ok(())
    }

    /// Does something that looks at the app, and keeps the way to its page open meanwhile where swarm replaces the task.
    pub(super) async fn followed<T>(&self, attached: &Attached, looking: impl Future<Output = T>) -> T {
        let Some(web) = &attached.web else { return looking.await };
        let hands = &attached.hands;
        let (service, folder) = (format!("{}_{}", hands.stack, hands.web), self.folder());
        let job = relay_job(hands, &service, "", web.port, &folder);
        let news = |text: &str| {
            self.reporter.note(text.to_owned());
            self.reporter.update(|result| result.retries.push(text.to_owned()));
        };
        let following = async {
            web.relay.follow(&self.host.docker, &job, self.lock, self.cancellation, news).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            seen = looking => seen,
            () = following => unreachable!("what is pending for ever does not end"),
        }
    }
}

async fn tcp(looking: &Looking<'_, SwarmHands, LockedHands<'_>>, look: &TcpLook) -> Result<Seen, Unseen> {
    looking.tcp(look).await
}

/// An answer with another status may be the right one the next time: that is what waiting is for.
async fn http(
    looking: &Looking<'_, SwarmHands, LockedHands<'_>>,
    hands: LockedHands<'_>,
    look: &HttpReady,
) -> Result<Seen, Unseen> {
    let path = look.path.as_str();
    for _ in 0..look.stable.get() {
        let status = match (&look.service, look.port) {
            (Some(service), Some(port)) => hands.status(service, port.get(), path, looking.domain).await?,
            _ => match looking.client {
                Some(client) => match client.get(path).await {
                    Ok(answer) => answer.status,
                    Err(error) => return Err(looking.unanswered(error).await),
                },
                None => return Err(Unseen::Never("the app has no HTTP page".to_owned())),
            },
        };
        if !look.status.iter().any(|right| right.get() == status) {
            let right: Vec<String> = look.status.iter().map(|right| right.get().to_string()).collect();
            return Err(Unseen::NotThere(format!(
                "{path} answers {status}, expected {}",
                right.join(" or ")
            )));
        }
    }
    Ok(Seen::Right(format!("{path} answers, {} times in a row", look.stable)))
}
