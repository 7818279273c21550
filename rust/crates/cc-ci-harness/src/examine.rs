//! The eyes of a run: everything that is looked at once something stands.

use std::time::Duration;

use cc_ci_process::cancel::Cancellation;
use cc_ci_swarm::convergence::Settled;
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::native::{App, Rendered};

use crate::host::Host;
use crate::report::Reporter;
use crate::setup::Setup;
use crate::tier_run::{TierRun, TierStop};

/// Looks at an app through its door, its helper and its containers.
pub struct Examiner<'a> {
    host: &'a Host,
    lock: &'a HeldLock,
}

impl<'a> Examiner<'a> {
    /// Opens the door.
    pub async fn new(
        _setup: &'a Setup,
        host: &'a Host,
        lock: &'a HeldLock,
        _cancellation: &'a Cancellation,
        _reporter: &'a Reporter,
        _app: &App,
        _http_limit: Duration,
    ) -> Result<Self, std::io::Error> {
        Ok(Self { host, lock })
    }
    pub async fn attach(
        &mut self,
        _t: &mut TierRun,
        _a: &App,
        _r: &Rendered,
        _s: &Settled,
    ) -> Result<(), TierStop> {
        Ok(())
    }
    pub async fn serving(&mut self, _t: &mut TierRun) -> Result<(), TierStop> {
        Ok(())
    }
    pub async fn checks(&mut self, _t: &mut TierRun, _a: &App) -> Result<(), TierStop> {
        Ok(())
    }
    pub async fn plant(&mut self, _t: &mut TierRun, _a: &App, _r: &Rendered) -> Result<(), TierStop> {
        Ok(())
    }
    pub async fn expect(&mut self, _t: &mut TierRun, _a: &App) -> Result<(), TierStop> {
        Ok(())
    }
    pub async fn close(self) {}
    pub fn docker(&self) -> &cc_ci_swarm::docker::Docker {
        &self.host.docker
    }
    pub fn lock(&self) -> &HeldLock {
        self.lock
    }
}
