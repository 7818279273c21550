//! The eyes of a run: everything that is looked at once something stands.

mod data;
mod early;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cc_ci_model::backup_plan::whole_volumes;
use cc_ci_model::names::ServiceName;
use cc_ci_model::outcome::{Status, Trouble};
use cc_ci_model::recipe_toml::RecipeToml;
use cc_ci_model::result::Origin;
use cc_ci_model::settings::ViaChoice;
use cc_ci_model::tier::Tier;
use cc_ci_model::volume_homes::VolumeHomes;
use cc_ci_process::cancel::Cancellation;
use cc_ci_swarm::convergence::Running;
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::native::{App, Rendered};
use cc_ci_swarm::relay::{Relay, RelayError, RelayJob};

use crate::app_socket::AppSocket;
use crate::checks::Looking;
use crate::door::{Door, Patience, Target};
use crate::evidence::Evidence;
use crate::hands::HandsError;
use crate::host::Host;
use crate::http::{Client, Scheme};
use crate::report::Reporter;
use crate::sandbox::{LocalTests, Programs, Sandbox, local_tests};
use crate::seeds::{PlantedSeed, VolumeMarker};
use crate::serving::{Eyes, serving, unknown_host};
use crate::setup::Setup;
use crate::swarm_hands::{LockedHands, SwarmHands};
use crate::tier_run::{TierRun, TierStop};

/// One test program; a whole tier's have the deadline of the run.
const PROGRAM_LIMIT: Duration = Duration::from_secs(600);

pub use data::Mutation;
pub use early::Data;

/// How checks reach the app.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    /// Through the proxy, which shows a certificate that this authority vouches for.
    Proxy { address: SocketAddr, ca: Option<Vec<u8>> },
    /// Straight to the task.
    Direct,
}

/// What is open between us and one generation of the app's task.
struct Attached {
    hands: Arc<SwarmHands>,
    door: Door,
    beside: Option<Door>,
    relay: Relay,
    socket: AppSocket,
    app: Client,
    task: Option<Client>,
    unknown: Option<Client>,
}

/// The one port of the one task that is asked.
#[derive(Debug, Clone)]
struct Asked {
    container: String,
    port: u16,
}

/// Looks at an app through its door, its helper and its containers.
pub struct Examiner<'a> {
    setup: &'a Setup,
    host: &'a Host,
    lock: &'a HeldLock,
    cancellation: &'a Cancellation,
    reporter: &'a Reporter,
    http_limit: Duration,
    route: Route,
    attached: Option<Attached>,
    asked: Option<Asked>,
    generation: u32,
    seeds: Vec<PlantedSeed<'a>>,
    markers: Vec<VolumeMarker>,
    /// Where volumes lay when the markers were planted, and where they lie in what is attached.
    homes: (VolumeHomes, VolumeHomes),
}

impl<'a> Examiner<'a> {
    /// Decides the route; nothing is open yet.
    ///
    /// # Errors
    /// The proxy was asked for and its authority cannot be read, or it does not answer.
    pub async fn new(
        setup: &'a Setup,
        host: &'a Host,
        lock: &'a HeldLock,
        cancellation: &'a Cancellation,
        reporter: &'a Reporter,
        http_limit: Duration,
    ) -> Result<Self, Trouble> {
        let route = route(setup).await?;
        reporter.update(|result| {
            result.run.via = Some(match &route {
                Route::Proxy { .. } => "proxy".to_owned(),
                Route::Direct => "direct".to_owned(),
            });
        });
        Ok(Self {
            setup,
            host,
            lock,
            cancellation,
            reporter,
            http_limit,
            route,
            attached: None,
            asked: None,
            generation: 0,
            seeds: Vec::new(),
            markers: Vec::new(),
            homes: Default::default(),
        })
    }

    /// Opens door, relay and socket to the tasks that settled; what led to the tasks before is closed first.
    ///
    /// # Errors
    /// The tier fails where the app has no task or port to look at; everything else is trouble.
    pub async fn attach(
        &mut self,
        tier: &mut TierRun,
        app: &App,
        rendered: &Rendered,
        running: &Running,
    ) -> Result<(), TierStop> {
        self.detach().await;
        self.homes.1 = VolumeHomes::of(&rendered.compose, &app.stack);
        self.generation += 1;
        let since = Instant::now();
        let trouble = |what: String| trouble(tier.tier(), what);
        let own = &self.setup.recipe_toml;
        let (web, labelled_port) = web_service(own, rendered, app.stack.as_str());
        let hands = SwarmHands {
            docker: self.host.docker.clone(),
            run: app.run.clone(),
            stack: app.stack.clone(),
            domain: app.domain.clone(),
            web: web.clone(),
            services: rendered.compose.services.keys().cloned().collect(),
            helper_image: self.setup.settings.helper_image.clone(),
            cancellation: self.cancellation.clone(),
            masker: self.reporter.masker().clone(),
        };
        let container =
            running.get(&format!("{}_{web}", app.stack)).and_then(|containers| containers.first());
        let Some(container) = container.cloned() else {
            return Err(tier.failed(
                "the app has a task to ask",
                since,
                format!("service {web} has no running task"),
            ));
        };
        let locked = LockedHands { hands: &hands, lock: self.lock };
        let port = match labelled_port {
            Some(port) => port,
            None => match locked.listening_port(&container).await {
                Ok(Some(port)) => port,
                Ok(None) => {
                    let message =
                        format!("service {web} listens on no port, and no label or recipe.toml names one");
                    return Err(tier.failed("the app has a port to ask", since, message));
                }
                Err(error) => return Err(trouble(error.to_string())),
            },
        };
        self.asked = Some(Asked { container: container.clone(), port });
        let folder = self.folder();
        let job = RelayJob {
            stack: &app.stack,
            run: &app.run,
            image: &self.setup.settings.helper_image,
            container: &container,
            port,
            folder: &folder,
        };
        let relay = match Relay::start(&self.host.docker, &job, self.lock, self.cancellation).await {
            Ok(relay) => relay,
            Err(RelayError::Cancelled(_)) => return Err(TierStop::Cancelled),
            Err(error) => return Err(trouble(error.to_string())),
        };
        let opened = self.open(app, hands, relay).await;
        self.attached = Some(opened.map_err(|error| trouble(error.to_string()))?);
        Ok(())
    }

    async fn open(
        &self,
        app: &App,
        hands: SwarmHands,
        relay: Relay,
    ) -> Result<Attached, Box<dyn std::error::Error>> {
        let domain = app.domain.as_str();
        let names = [domain];
        let to_task = Target::Unix(relay.socket().to_owned());
        let hands = Arc::new(hands);
        let socket = AppSocket::open(&self.app_socket(), Arc::clone(&hands))?;
        let patience = Patience::default();
        match &self.route {
            Route::Direct => {
                let door = Door::open(&names, to_task, patience).await?;
                door.open_socket(&self.door_socket())?;
                let app = Client::new(domain, door.address(), &Scheme::Http)?;
                Ok(Attached { hands, door, beside: None, relay, socket, app, task: None, unknown: None })
            }
            Route::Proxy { address, ca } => {
                let door = Door::open(&names, Target::Tcp(*address), patience).await?;
                door.open_socket(&self.door_socket())?;
                let beside = Door::open(&names, to_task, patience).await?;
                let scheme = Scheme::Https { ca: ca.clone() };
                let app = Client::new(domain, door.address(), &scheme)?;
                let task = Client::new(domain, beside.address(), &Scheme::Http)?;
                let unknown = Client::new(&unknown_host(&self.setup.settings.zone), *address, &scheme)?;
                let (beside, task, unknown) = (Some(beside), Some(task), Some(unknown));
                Ok(Attached { hands, door, beside, relay, socket, app, task, unknown })
            }
        }
    }

    /// The generic floor: it is really serving, and it is the app itself that answers.
    ///
    /// # Errors
    /// The tier fails, or is cancelled.
    pub async fn serving(&mut self, tier: &mut TierRun) -> Result<(), TierStop> {
        let Some(attached) = &self.attached else { return Err(not_attached(tier.tier())) };
        let eyes =
            Eyes { app: &attached.app, task: attached.task.as_ref(), unknown: attached.unknown.as_ref() };
        let health = &self.setup.recipe_toml.app.health;
        let evidence = self.evidence(tier.tier());
        self.reporter.progress("waiting for the app to serve");
        let mut report = serving(eyes, health, self.http_limit, self.cancellation, &evidence).await;
        let status = report.status;
        if status == Status::Fail {
            report.message.push_str(&self.where_it_listens(attached).await);
        }
        tier.record(report);
        self.stop_for(tier.tier(), status)
    }

    /// What there is to say about ports once an app does not serve; nothing where the right one is open.
    async fn where_it_listens(&self, attached: &Attached) -> String {
        let Some(Asked { container, port }) = &self.asked else { return String::new() };
        let web = &attached.hands.web;
        let locked = LockedHands { hands: &attached.hands, lock: self.lock };
        match locked.listening_port(container).await {
            Ok(None) => format!("; service {web} listens on no port at all, asked was {port}"),
            Ok(Some(other)) if other != *port => {
                format!("; asked was port {port}, and the lowest port service {web} listens on is {other}")
            }
            Ok(Some(_)) | Err(_) => String::new(),
        }
    }

    /// The recipe's checks of this tier, then its programs.
    ///
    /// # Errors
    /// The run is cancelled. A check that fails is recorded and the others go on: their findings are worth having.
    pub async fn checks(&mut self, tier: &mut TierRun) -> Result<(), TierStop> {
        let name = tier.tier();
        let evidence = self.evidence(name);
        for check in self.setup.recipe_toml.checks(name) {
            self.reporter.progress(&format!("check {}", check.name));
            let report = self.looking(name, &evidence, async |looking| looking.check(check).await).await?;
            tier.record(report);
        }
        self.programs(tier, &evidence).await?;
        if self.cancellation.is_cancelled() {
            return Err(TierStop::Cancelled);
        }
        if tier.has_failed() { Err(TierStop::Failed) } else { Ok(()) }
    }

    /// Test programs of this tier: ours, and the recipe's own where the host's settings approve them.
    async fn programs(&self, tier: &mut TierRun, evidence: &Evidence) -> Result<(), TierStop> {
        let name = tier.tier();
        let Some(attached) = &self.attached else { return Err(not_attached(name)) };
        let unreadable = |error: std::io::Error| trouble(name, format!("looking for test programs: {error}"));
        let mut all = vec![
            Programs::find(&self.setup.test_data.join("tests"), name, Origin::Recipe).map_err(unreadable)?,
        ];
        let aside = self.reporter.folder().local_tests();
        if let LocalTests::Run(folder) = local_tests(&self.setup.settings, &self.setup.request.recipe, &aside)
        {
            all.push(Programs::find(&folder, name, Origin::RecipeLocal).map_err(unreadable)?);
        }
        let sandbox = Sandbox {
            program: std::env::current_exe().map_err(unreadable)?,
            door: self.door_socket(),
            app_socket: Some(self.app_socket()),
            ca: self.setup.settings.proxy.ca.clone().filter(|_| attached.task.is_some()),
            base_url: attached.app.base().to_owned(),
            domain: attached.hands.domain.to_string(),
            run: attached.hands.run.clone(),
        };
        for programs in all {
            if !programs.names.is_empty() {
                self.reporter.progress(&format!("test programs of {name}"));
            }
            for report in sandbox.run_all(&programs, PROGRAM_LIMIT, self.cancellation, evidence).await {
                tier.record(report);
            }
        }
        Ok(())
    }

    /// Plants the recipe's seeds.
    ///
    /// # Errors
    /// The tier fails where a seed cannot be planted.
    pub async fn plant(&mut self, tier: &mut TierRun) -> Result<(), TierStop> {
        let name = tier.tier();
        let evidence = self.evidence(name);
        let seeds: &'a [cc_ci_model::recipe_toml::Seed] = &self.setup.recipe_toml.seed;
        self.reporter.progress("planting data");
        let (planted, reports) =
            self.looking(name, &evidence, async |looking| looking.plant(seeds).await).await?;
        self.seeds = planted;
        reports.into_iter().for_each(|report| tier.record(report));
        if tier.has_failed() { Err(TierStop::Failed) } else { Ok(()) }
    }

    /// Lays a marker into each volume that is backed up whole.
    ///
    /// # Errors
    /// The tier fails where that cannot be done.
    pub async fn mark(&mut self, tier: &mut TierRun, app: &App, rendered: &Rendered) -> Result<(), TierStop> {
        let name = tier.tier();
        let evidence = self.evidence(name);
        let volumes = whole_volumes(&rendered.compose, &app.stack);
        let lock = self.lock;
        let (markers, reports) = self
            .looking(name, &evidence, async |looking| {
                let volumes_of = LockedHands { hands: looking.hands, lock };
                looking.plant_markers(&volumes_of, &volumes).await
            })
            .await?;
        self.markers = markers;
        self.homes.0 = VolumeHomes::of(&rendered.compose, &app.stack);
        reports.into_iter().for_each(|report| tier.record(report));
        if tier.has_failed() { Err(TierStop::Failed) } else { Ok(()) }
    }

    /// Looks for everything that was planted.
    ///
    /// # Errors
    /// The tier fails where something is gone or changed.
    pub async fn expect(&mut self, tier: &mut TierRun) -> Result<(), TierStop> {
        let name = tier.tier();
        let evidence = self.evidence(name);
        let (seeds, mut markers, lock) = (self.seeds.clone(), self.markers.clone(), self.lock);
        for marker in &mut markers {
            marker.volume = self.homes.0.successor(&self.homes.1, &marker.volume).to_owned();
        }
        self.reporter.progress("looking for the data");
        let reports = self
            .looking(name, &evidence, async |looking| {
                let mut reports = looking.expect(&seeds, name.word()).await;
                let volumes_of = LockedHands { hands: looking.hands, lock };
                reports.extend(looking.expect_markers(&volumes_of, &markers, name.word()).await);
                reports
            })
            .await?;
        for report in reports {
            tier.record(report);
        }
        if tier.has_failed() { Err(TierStop::Failed) } else { Ok(()) }
    }

    /// Closes whatever is open. The relay's container goes with the stack; it is ended here so that nothing holds the task's network.
    pub async fn close(mut self) {
        self.detach().await;
    }

    /// Closes what leads to the tasks of the present deploy.
    pub async fn detach(&mut self) {
        let Some(attached) = self.attached.take() else { return };
        let (passed, refused) = (attached.door.passed(), attached.door.refused());
        self.reporter.log(&format!("door: {passed} connections passed, {refused} refused"));
        attached.socket.close().await;
        attached.door.close().await;
        if let Some(beside) = attached.beside {
            beside.close().await;
        }
        if let Err(error) = attached.relay.stop(&self.host.docker).await {
            self.reporter.log(&format!("ending the relay: {error}; it goes with the stack"));
        }
        // Nothing but sockets that lead nowhere.
        if let Err(error) = std::fs::remove_dir_all(self.folder()) {
            self.reporter.log(&format!("removing {}: {error}", self.folder().display()));
        }
    }

    async fn looking<T>(
        &self,
        tier: Tier,
        evidence: &Evidence,
        look: impl AsyncFnOnce(&Looking<'_, SwarmHands, LockedHands<'_>>) -> T,
    ) -> Result<T, TierStop> {
        let Some(attached) = &self.attached else { return Err(not_attached(tier)) };
        let hands: &SwarmHands = &attached.hands;
        let locked = LockedHands { hands, lock: self.lock };
        let domain = hands.domain.to_string();
        let looking = Looking {
            client: &attached.app,
            hands,
            probe: &locked,
            domain: &domain,
            cancellation: self.cancellation,
            evidence,
        };
        let seen = look(&looking).await;
        if self.cancellation.is_cancelled() { Err(TierStop::Cancelled) } else { Ok(seen) }
    }

    fn stop_for(&self, tier: Tier, status: Status) -> Result<(), TierStop> {
        match status {
            Status::Pass | Status::NotApplicable => Ok(()),
            Status::Fail => Err(TierStop::Failed),
            Status::Unverified if self.cancellation.is_cancelled() => Err(TierStop::Cancelled),
            Status::Unverified => {
                Err(trouble(tier, "the app could not be looked at; see the check".to_owned()))
            }
        }
    }

    fn evidence(&self, tier: Tier) -> Evidence {
        Evidence::new(self.reporter.folder().root(), tier, self.reporter.masker().clone())
    }

    fn app_socket(&self) -> PathBuf {
        self.folder().join("app")
    }

    fn door_socket(&self) -> PathBuf {
        self.folder().join("door")
    }

    fn folder(&self) -> PathBuf {
        self.reporter.folder().state().join(format!("door-{}", self.generation))
    }
}

fn trouble(tier: Tier, what: String) -> TierStop {
    TierStop::Trouble(Trouble { what, place: tier.word().to_owned(), retry: true })
}

fn not_attached(tier: Tier) -> TierStop {
    trouble(tier, "there is no way to the app: the deploy before it did not settle".to_owned())
}

impl From<HandsError> for TierStop {
    fn from(error: HandsError) -> Self {
        trouble(Tier::Install, error.to_string())
    }
}

/// The service that faces the web, and its port where something names it: recipe.toml, else the proxy's labels, else `app`.
fn web_service(own: &RecipeToml, rendered: &Rendered, stack: &str) -> (ServiceName, Option<u16>) {
    // `app` is the web-facing one by convention, whatever else has a route.
    let names = std::iter::once("app").chain(rendered.compose.services.keys().map(String::as_str));
    let labelled = names.into_iter().find_map(|service| {
        let labels = rendered.compose.deploy_labels(service);
        let main = labels.iter().find(|(key, _)| routed(key) == Some(stack));
        let any = labels.iter().find(|(key, _)| routed(key).is_some());
        let port = main.or(any).and_then(|(_, port)| port.parse::<u16>().ok());
        labels
            .get("traefik.enable")
            .is_some_and(|value| value == "true")
            .then_some((service.to_owned(), port))
    });
    let (service, port) = labelled.unwrap_or_else(|| ("app".to_owned(), None));
    let service = own.app.service.clone().or_else(|| ServiceName::parse(&service).ok());
    let port = own.app.port.map(std::num::NonZeroU16::get).or(port);
    (service.unwrap_or_else(|| ServiceName::parse("app").expect("app is a valid service name")), port)
}

/// The name of the proxy's service whose port this label gives.
fn routed(key: &str) -> Option<&str> {
    key.strip_prefix("traefik.http.services.")?.strip_suffix(".loadbalancer.server.port")
}

/// The route: as asked for; `auto` takes the proxy where one answers at its address.
async fn route(setup: &Setup) -> Result<Route, Trouble> {
    let proxy = &setup.settings.proxy;
    let trouble = |what: String| Trouble { what, place: "door".to_owned(), retry: false };
    let answers = async || {
        let tried =
            tokio::time::timeout(Duration::from_secs(2), tokio::net::TcpStream::connect(proxy.address)).await;
        matches!(tried, Ok(Ok(_)))
    };
    let wanted = match setup.via {
        ViaChoice::Direct => false,
        ViaChoice::Proxy => {
            if !answers().await {
                let what = format!(
                    "no proxy answers at {}: start it, set proxy.address in the host's settings, or use --via direct",
                    proxy.address
                );
                return Err(trouble(what));
            }
            true
        }
        ViaChoice::Auto => answers().await,
    };
    if !wanted {
        return Ok(Route::Direct);
    }
    let ca = match &proxy.ca {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            trouble(format!("reading the proxy's authority {}: {error}", path.display()))
        })?),
    };
    Ok(Route::Proxy { address: proxy.address, ca })
}
