//! One intent, one step further: what [`Intent::next`] says is carried out here, written down before and after.

use cc_ci_forge::http::ForgeError;
use cc_ci_model::bridge::command::Command;
use cc_ci_model::bridge::intent::{ATTEMPTS, Asked, Attempt, EndedBy, Intent, RETRY, Step};
use cc_ci_model::bridge::parameters::BuildParameters;
use cc_ci_model::bridge::progress::{BuildFact, Facts, Over, Progress, judge};
use cc_ci_model::bridge::say::{self, Surroundings};
use cc_ci_model::names::{GitSource, PrNumber, Recipe};
use jiff::Timestamp;

use crate::service::{Bridge, BridgeError};

/// Whether there is more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum More {
    Now,
    Later,
}

impl Bridge {
    /// Carries out the next step of an intent.
    pub(crate) async fn advance(&mut self, intent: &mut Intent) -> Result<More, BridgeError> {
        match intent.next() {
            Step::Nothing => return Ok(More::Later),
            Step::Authorise => {
                self.authorise(intent).await?;
                self.store.save(intent)?;
                if intent.refused.is_none() {
                    self.supersede(intent)?;
                }
            }
            Step::Refuse => {
                if let Some(refusal) = intent.refused.clone().filter(|refusal| refusal.is_told()) {
                    self.say(intent, &say::refusal(intent, &refusal)).await?;
                }
                self.settle(intent, "refused")?;
            }
            Step::Reply => self.reply(intent).await?,
            Step::Begin(number) => {
                intent.attempts.push(Attempt {
                    number,
                    requested: Timestamp::now().to_string(),
                    build: None,
                    run: None,
                    outcome: None,
                    over_since: None,
                });
                self.store.save(intent)?;
            }
            Step::Create(_) => self.create(intent).await?,
            Step::Watch(_) | Step::Conclude => return self.watch(intent).await,
        }
        Ok(More::Now)
    }

    fn settle(&mut self, intent: &mut Intent, outcome: &str) -> Result<(), BridgeError> {
        intent.outcome = Some(outcome.to_owned());
        intent.is_settled = true;
        self.store.save(intent)?;
        if let Some(attempt) = intent.attempts.last() {
            let name = format!("{}.{}", intent.comment, attempt.number);
            // Of its run, which is over; one that stays is tidied away later.
            let _ = std::fs::remove_file(self.paths.state.join("cancel").join(name));
        }
        tracing::info!(
            code = "settled",
            "comment {} on {}#{}: {outcome}",
            intent.comment,
            intent.repository,
            intent.pr
        );
        Ok(())
    }

    /// Answers what needs no build.
    async fn reply(&mut self, intent: &mut Intent) -> Result<(), BridgeError> {
        let text = match intent.asked.clone() {
            Asked::Unclear(unclear) => say::unclear(intent, &unclear),
            Asked::Command(Command::Cancel) => {
                let count = self.cancel_others(intent)?;
                say::cancelled(intent, count)
            }
            Asked::Command(Command::Help | Command::Run(_) | Command::Plan) => say::help(intent),
        };
        self.say(intent, &text).await?;
        self.settle(intent, "answered")
    }

    /// Ends every open run of the pull request that was asked for before; how many.
    fn cancel_others(&mut self, by: &Intent) -> Result<usize, BridgeError> {
        let is_meant = |other: &Intent| {
            other.is_open()
                && other.comment < by.comment
                && (&other.repository, other.pr) == (&by.repository, by.pr)
        };
        let others: Vec<Intent> = self.store.open_ones().into_iter().filter(is_meant).collect();
        for other in &others {
            self.end(other, EndedBy::Person(by.author.clone()))?;
        }
        Ok(others.len())
    }

    /// A trigger for a newer head ends the older ones.
    fn supersede(&mut self, newer: &Intent) -> Result<(), BridgeError> {
        for older in self.store.open_ones() {
            if older.is_superseded_by(newer) {
                self.end(&older, EndedBy::Newer(newer.comment))?;
            }
        }
        Ok(())
    }

    fn end(&mut self, intent: &Intent, by: EndedBy) -> Result<(), BridgeError> {
        if intent.ended_by.is_some() {
            return Ok(());
        }
        let mut intent = intent.clone();
        intent.ended_by = Some(by);
        self.store.save(&intent)?;
        self.drop_cancel_file(&intent)
    }

    fn drop_cancel_file(&self, intent: &Intent) -> Result<(), BridgeError> {
        let Some(attempt) = intent.attempts.last() else { return Ok(()) };
        let folder = self.paths.state.join("cancel");
        let path = folder.join(format!("{}.{}", intent.comment, attempt.number));
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::File::create(&path).map(|_| ()))
            .map_err(|reason| BridgeError::Folder { path, reason })
    }

    /// Finds the attempt's build, which an earlier life of ours may have created, or creates it.
    async fn create(&mut self, intent: &mut Intent) -> Result<(), BridgeError> {
        let Some(attempt) = intent.attempts.last().cloned() else { return Ok(()) };
        let newest = self.drone.newest().await?;
        let (comment, number) = (intent.comment.to_string(), attempt.number.to_string());
        let is_ours = |params: &std::collections::BTreeMap<String, String>| {
            params.get("CCCI_COMMENT") == Some(&comment) && params.get("CCCI_ATTEMPT") == Some(&number)
        };
        let found =
            newest.iter().find(|build| build.params.as_ref().is_some_and(is_ours)).map(|build| build.number);
        let build = match found {
            Some(build) => build,
            None if intent.ended_by.is_some() => {
                return self.conclude_unbegun(intent).await;
            }
            None => {
                let parameters = self.parameters(intent, &attempt).await?;
                match self.drone.create(&parameters.pairs()).await {
                    Ok(build) => {
                        self.health.count("builds");
                        build.number
                    }
                    Err(error) if error.may_pass() => return Err(error.into()),
                    Err(error) => return self.conclude_impossible(intent, &error).await,
                }
            }
        };
        if let Some(attempt) = intent.attempts.last_mut() {
            attempt.build = Some(build);
        }
        self.store.save(intent)?;
        Ok(())
    }

    async fn parameters(&self, intent: &Intent, attempt: &Attempt) -> Result<BuildParameters, BridgeError> {
        let bad = |what: String| BridgeError::Intent(intent.comment, what);
        let name = intent.repository.rsplit('/').next().unwrap_or_default();
        let granted = intent.granted.as_ref().ok_or_else(|| bad("it has no right".to_owned()))?;
        let commit = granted.commit.clone().ok_or_else(|| bad("it has no commit".to_owned()))?;
        let Asked::Command(command) = intent.asked.clone() else {
            return Err(bad("it is no command".to_owned()));
        };
        let source = self.gitea.pull(&intent.repository, intent.pr).await?.source;
        Ok(BuildParameters {
            recipe: Recipe::parse(name).map_err(|error| bad(error.to_string()))?,
            source: GitSource::parse(&source).map_err(|error| bad(error.to_string()))?,
            commit,
            pr: PrNumber(intent.pr),
            command,
            comment: intent.comment,
            attempt: attempt.number,
            by: intent.author.clone(),
            right: granted.right,
            at: intent.written.clone(),
        })
    }

    /// It was ended before there was a build.
    async fn conclude_unbegun(&mut self, intent: &mut Intent) -> Result<(), BridgeError> {
        let over = Over::Cancelled("its run had not begun".to_owned());
        self.report_end(intent, &Progress::Over(Box::new(over))).await?;
        self.settle(intent, "cancelled")
    }

    /// Drone does not want the build, and asking again does not help.
    async fn conclude_impossible(
        &mut self,
        intent: &mut Intent,
        error: &ForgeError,
    ) -> Result<(), BridgeError> {
        self.health.worry("build-not-created", error.to_string());
        let over = Over::Lost(format!(
            "its build could not be created ({error}); the operators of this server can mend that"
        ));
        self.report_end(intent, &Progress::Over(Box::new(over))).await?;
        self.settle(intent, "no build")
    }

    /// Looks how far the attempt is and reports it; its end settles the intent or begins the next attempt.
    async fn watch(&mut self, intent: &mut Intent) -> Result<More, BridgeError> {
        let Some(mut attempt) = intent.attempts.last().cloned() else {
            self.conclude_unbegun(intent).await?;
            return Ok(More::Later);
        };
        let facts = self.facts(intent, &mut attempt).await?;
        if intent.attempts.last() != Some(&attempt) {
            intent.attempts.pop();
            intent.attempts.push(attempt.clone());
            self.store.save(intent)?;
        }
        if intent.ended_by.is_some() {
            self.drop_cancel_file(intent)?;
            self.cancel_build(&attempt, &facts).await?;
        }
        let progress = judge(&facts);
        let Progress::Over(over) = &progress else {
            self.report(intent, &progress).await?;
            return Ok(More::Later);
        };
        let mut word = over.word();
        if word == RETRY && attempt.number < ATTEMPTS && intent.ended_by.is_none() {
            if let Some(last) = intent.attempts.last_mut() {
                last.outcome = Some(RETRY.to_owned());
            }
            self.store.save(intent)?;
            self.health.count("repeats");
            tracing::info!(
                code = "repeat",
                "comment {}: attempt 1 ended in trouble that may pass",
                intent.comment
            );
            return Ok(More::Now);
        }
        if intent.ended_by.is_some() && word == RETRY {
            word = "cancelled";
        }
        self.report_end(intent, &progress).await?;
        if let Some(last) = intent.attempts.last_mut() {
            last.outcome = Some(word.to_owned());
        }
        self.settle(intent, word)?;
        Ok(More::Later)
    }

    /// What waits in the queue, or runs where no cancel file reaches it, is cancelled at Drone.
    async fn cancel_build(&mut self, attempt: &Attempt, facts: &Facts) -> Result<(), BridgeError> {
        let is_out_of_reach =
            facts.run.is_none() && matches!(facts.build, BuildFact::Pending(_) | BuildFact::Running);
        if let Some(build) = attempt.build.filter(|_| is_out_of_reach) {
            self.drone.cancel(build).await?;
        }
        Ok(())
    }

    fn surroundings(&self, intent: &Intent, progress: &Progress) -> Surroundings {
        let recipe = intent.repository.rsplit('/').next().unwrap_or_default();
        let build = intent.attempts.last().and_then(|attempt| attempt.build);
        let link = |build| {
            format!("{}/{}/{build}", self.settings.drone.trim_end_matches('/'), self.settings.pipeline)
        };
        let is_over = matches!(progress, Progress::Over(_));
        Surroundings {
            build_link: build.map(link),
            pages: self.settings.pages.clone(),
            minutes: if is_over { None } else { self.minutes_of_last_run(recipe) },
            flake: self.settings.flake.clone(),
            head_by_then: None,
        }
    }

    async fn report(&mut self, intent: &mut Intent, progress: &Progress) -> Result<(), BridgeError> {
        let around = self.surroundings(intent, progress);
        let is_first = intent.answer.said.is_none();
        self.say(intent, &say::answer(intent, progress, &around)).await?;
        let link = around.build_link.clone();
        self.set_status(intent, say::status(progress), link.as_deref()).await?;
        if is_first {
            self.fold_earlier(intent).await?;
        }
        Ok(())
    }

    async fn report_end(&mut self, intent: &mut Intent, progress: &Progress) -> Result<(), BridgeError> {
        let mut around = self.surroundings(intent, progress);
        // Gone or closed by then: nothing to compare with.
        if let (Ok(pull), Some(commit)) =
            (self.gitea.pull(&intent.repository, intent.pr).await, intent.commit())
            && pull.head != *commit
        {
            around.head_by_then = Some(pull.head.to_string());
        }
        self.say(intent, &say::answer(intent, progress, &around)).await?;
        self.set_status(intent, say::status(progress), around.build_link.as_deref()).await?;
        self.fold_earlier(intent).await
    }
}
