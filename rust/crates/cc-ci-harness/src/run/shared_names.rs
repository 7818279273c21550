//! Names on the proxy's network that others have at this moment as well: said with their owners before anything is deployed.

use cc_ci_model::lint::{owners, shared_names};
use cc_ci_swarm::native::{App, Rendered};
use cc_ci_swarm::neighbours::neighbours;

use super::{Hands, Story};

impl Story<'_> {
    /// Notes what head asks for or calls on the proxy's network by a name that is not its own alone (lint's C005).
    pub(super) fn note_shared_names(&mut self, app: &App, head: &Rendered) {
        // A config that cannot be read is told elsewhere.
        let text = |path: &str| app.checkout.read(path).ok().flatten();
        self.shared_names = shared_names(&head.compose, &app.stack, &text);
    }

    /// Compares them with who is on that network. The verdict stays as it is: whose name it was first is the host's chance.
    pub(super) async fn say_owners_of_names(&self, app: &App, hands: &Hands) {
        if self.shared_names.is_empty() {
            return;
        }
        let others = match neighbours(&hands.host.docker, &app.stack).await {
            Ok(others) => others,
            Err(error) => {
                self.reporter.log(&format!("names on the proxy's network: {error}"));
                return;
            }
        };
        for shared in &self.shared_names {
            let owners = owners(&shared.name, &others);
            if !owners.is_empty() {
                let line = shared.with_owners(&owners);
                self.reporter.warn(line.clone());
                self.reporter.update(|result| result.limits.push(line));
            }
        }
    }
}
