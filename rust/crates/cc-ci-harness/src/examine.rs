//! The eyes of a run: everything that is looked at once something stands.

mod data;
mod early;
mod ready;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cc_ci_model::backup_plan::{lasting_volumes, whole_volumes};
use cc_ci_model::names::ServiceName;
use cc_ci_model::outcome::{Status, Trouble};
use cc_ci_model::result::Origin;
use cc_ci_model::serves::{Reach, Serves, reach};
use cc_ci_model::settings::ViaChoice;
use cc_ci_model::tier::Tier;
use cc_ci_model::volume_homes::VolumeHomes;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};
use cc_ci_swarm::convergence::Running;
use cc_ci_swarm::docker::Docker;
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
use crate::sandbox::{LocalTests, Page, Programs, Sandbox, local_tests};
use crate::seeds::{PlantedSeed, VolumeMarker};
use crate::serving::{Eyes, serving, unknown_host};
use crate::setup::Setup;
use crate::swarm_hands::{LockedHands, SwarmHands};
use crate::tier_run::{TierRun, TierStop};

/// Between two looks at the ports of a task.
const LISTENS: Duration = Duration::from_millis(500);
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

/// What is open between us and one generation of the app's tasks.
struct Attached {
    hands: Arc<SwarmHands>,
    socket: AppSocket,
    reach: Reach,
    running: Running,
    /// The way to the app's page, where it has one.
    web: Option<Web>,
    /// The tier in which everything of `[[ready]]` was there.
    ready_in: Option<Tier>,
}

/// The way to the page of one task.
struct Web {
    docker: Docker,
    port: u16,
    door: Door,
    beside: Option<Door>,
    relay: Relay,
    app: Client,
    task: Option<Client>,
    unknown: Option<Client>,
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
    generation: u32,
    seeds: Vec<PlantedSeed<'a>>,
    markers: Vec<VolumeMarker>,
    /// The app's volumes in which data lasts.
    volumes: Vec<String>,
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
            generation: 0,
            seeds: Vec::new(),
            markers: Vec::new(),
            volumes: Vec::new(),
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
        let name_of_tier = tier.tier();
        let trouble = |what: String| trouble(name_of_tier, what);
        let own = &self.setup.recipe_toml;
        let reach = reach(own, &rendered.compose, app.stack.as_str(), app.domain.as_str());
        let web = reach.web.clone();
        let hands = SwarmHands {
            docker: self.host.docker.clone(),
            run: app.run.clone(),
            stack: app.stack.clone(),
            domain: app.domain.clone(),
            web: web.service.clone(),
            services: rendered.compose.services.keys().cloned().collect(),
            helper_image: self.setup.settings.helper_image.clone(),
            cancellation: self.cancellation.clone(),
            masker: self.reporter.masker().clone(),
        };
        let hands = Arc::new(hands);
        std::fs::create_dir_all(self.folder()).map_err(|error| trouble(error.to_string()))?;
        let socket = AppSocket::open(&self.app_socket(), Arc::clone(&hands));
        let socket = socket.map_err(|error| trouble(error.to_string()))?;
        let has_page = reach.serves == Serves::Http;
        let running = running.clone();
        let attached = Attached {
            hands: hands.clone(),
            socket,
            reach,
            running: running.clone(),
            web: None,
            ready_in: None,
        };
        self.attached = Some(attached);
        if !has_page {
            return Ok(());
        }
        let name = format!("{}_{}", app.stack, web.service);
        let container = running.get(&name).and_then(|containers| containers.first());
        let Some(container) = container.cloned() else {
            return Err(tier.failed(
                "the app has a task to ask",
                since,
                format!("service {} has no running task", web.service),
            ));
        };
        let port = match web.port {
            Some(port) => port,
            None => self.port_of(tier, &hands, &web.service).await?,
        };
        let folder = self.folder();
        let job = relay_job(&hands, &name, &container, port, &folder);
        let relay = match Relay::start(&self.host.docker, &job, self.lock, self.cancellation).await {
            Ok(relay) => relay,
            Err(RelayError::Cancelled(_)) => return Err(TierStop::Cancelled),
            Err(error) => return Err(trouble(error.to_string())),
        };
        let opened =
            self.open(app, relay, port, web.is_tls).await.map_err(|error| trouble(error.to_string()))?;
        if let Some(attached) = &mut self.attached {
            attached.web = Some(opened);
        }
        Ok(())
    }

    /// Waits until a service listens, and says where: nothing in recipe or recipe.toml does.
    async fn port_of(
        &self,
        tier: &mut TierRun,
        hands: &SwarmHands,
        service: &ServiceName,
    ) -> Result<u16, TierStop> {
        let since = Instant::now();
        let locked = LockedHands { hands, lock: self.lock };
        let sentence = format!(
            "waiting for service {service} to listen on a port, as no label or recipe.toml names one"
        );
        let waiting = Waiting { deadline: self.http_limit, interval: LISTENS };
        let found = wait_for(&sentence, waiting, None, self.cancellation, || async {
            let port = match hands.container(service).await {
                Ok(container) => locked.listening_port(&container).await,
                Err(error) => Err(error),
            };
            match port {
                Ok(port) => Ok(Look::from_option(port, "it listens on no port")),
                Err(HandsError::NotThere(what)) => Ok(Look::NotYet(what)),
                Err(error @ HandsError::CouldNotLook(_)) => Err(error),
            }
        });
        match found.await {
            Ok(port) => Ok(port),
            Err(WaitError::Cancelled { .. }) => Err(TierStop::Cancelled),
            Err(error @ WaitError::TimedOut { .. }) => {
                Err(tier.failed("the app has a port to ask", since, error.to_string()))
            }
            Err(WaitError::Failed { reason, .. }) => Err(trouble(tier.tier(), reason.to_string())),
        }
    }

    async fn open(
        &self,
        app: &App,
        relay: Relay,
        port: u16,
        is_tls: bool,
    ) -> Result<Web, Box<dyn std::error::Error>> {
        let docker = self.host.docker.clone();
        let domain = app.domain.as_str();
        let names = [domain];
        let to_task = Target::Unix(relay.socket().to_owned());
        let patience = Patience::default();
        let of_task = if is_tls { Scheme::HttpsOfTask } else { Scheme::Http };
        match &self.route {
            Route::Direct => {
                let door = Door::open(&names, to_task, patience).await?;
                door.open_socket(&self.door_socket())?;
                let app = Client::new(domain, door.address(), &of_task)?;
                Ok(Web { docker, port, door, beside: None, relay, app, task: None, unknown: None })
            }
            Route::Proxy { address, ca } => {
                let door = Door::open(&names, Target::Tcp(*address), patience).await?;
                door.open_socket(&self.door_socket())?;
                let beside = Door::open(&names, to_task, patience).await?;
                let scheme = Scheme::Https { ca: ca.clone() };
                let app = Client::new(domain, door.address(), &scheme)?;
                let task = Client::new(domain, beside.address(), &of_task)?;
                let unknown = Client::new(&unknown_host(&self.setup.settings.zone), *address, &scheme)?;
                let (beside, task, unknown) = (Some(beside), Some(task), Some(unknown));
                Ok(Web { docker, port, door, beside, relay, app, task, unknown })
            }
        }
    }

    /// The generic floor: it is really serving, and it is the app itself that answers; then what `[[ready]]` waits for.
    ///
    /// # Errors
    /// The tier fails, or is cancelled.
    pub async fn serving(&mut self, tier: &mut TierRun) -> Result<(), TierStop> {
        self.floor(tier).await?;
        self.ready(tier).await
    }

    async fn floor(&self, tier: &mut TierRun) -> Result<(), TierStop> {
        if tier.leaves_out_generic() {
            return Ok(());
        }
        let Some(attached) = &self.attached else { return Err(not_attached(tier.tier())) };
        let Some(web) = &attached.web else {
            if attached.reach.serves == Serves::Http {
                return Err(not_attached(tier.tier()));
            }
            return self.without_a_page(tier, attached).await;
        };
        let eyes = Eyes { app: &web.app, task: web.task.as_ref(), way: web.way() };
        let health = &self.setup.recipe_toml.app.health;
        let evidence = self.evidence(tier.tier());
        self.reporter.progress("waiting for the app to serve");
        let looking = serving(eyes, health, self.http_limit, self.cancellation, &evidence);
        let mut report = self.followed(attached, looking).await;
        let (status, said) = (report.status, report.message.clone());
        if status == Status::Fail {
            report.message.push_str(&self.where_it_listens(attached, web.port).await);
        }
        if status == Status::Pass {
            tier.answered();
        }
        tier.record(report);
        self.stop_for(tier.tier(), status, &said)
    }

    /// What there is to say about ports once an app does not serve; nothing where the right one is open.
    async fn where_it_listens(&self, attached: &Attached, port: u16) -> String {
        let web = &attached.hands.web;
        let locked = LockedHands { hands: &attached.hands, lock: self.lock };
        let Ok(container) = attached.hands.container(web).await else { return String::new() };
        match locked.listening_port(&container).await {
            Ok(None) => format!("; service {web} listens on no port at all, asked was {port}"),
            Ok(Some(other)) if other != port => {
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
        self.ready(tier).await?;
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
            page: attached
                .web
                .as_ref()
                .map(|web| Page { door: self.door_socket(), base_url: web.app.base().to_owned() }),
            app_socket: Some(self.app_socket()),
            ca: {
                let is_proxied = attached.web.as_ref().is_some_and(|web| web.task.is_some());
                self.setup.settings.proxy.ca.clone().filter(|_| is_proxied)
            },
            domain: attached.hands.domain.to_string(),
            run: attached.hands.run.clone(),
        };
        for programs in all {
            if !programs.names.is_empty() {
                self.reporter.progress(&format!("test programs of {name}"));
            }
            let running = sandbox.run_all(&programs, PROGRAM_LIMIT, self.cancellation, evidence);
            for mut report in self.followed(attached, running).await {
                // A program cannot tell a broken way from a broken app.
                if report.status == Status::Fail
                    && let Some(web) = &attached.web
                    && let Some(fault) = web.way().fault().await
                {
                    report.status = Status::Unverified;
                    report.message = format!("{fault}; the program itself said: {}", report.message);
                }
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
        self.volumes = lasting_volumes(&rendered.compose, &app.stack);
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
        if !self.has_data() && !self.volumes.is_empty() {
            tier.remark(data::check_missing(&self.volumes));
        }
        if tier.leaves_out_generic() {
            markers.clear();
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

    /// Forgets what was planted, and closes what leads to the tasks: what is deployed next has to bring its own data.
    pub async fn forget(&mut self) {
        self.detach().await;
        self.seeds.clear();
        self.markers.clear();
    }

    /// Closes whatever is open. The relay's container goes with the stack; it is ended here so that nothing holds the task's network.
    pub async fn close(mut self) {
        self.detach().await;
    }

    /// Closes what leads to the tasks of the present deploy.
    pub async fn detach(&mut self) {
        let Some(attached) = self.attached.take() else { return };
        attached.socket.close().await;
        if let Some(Web { door, beside, relay, .. }) = attached.web {
            let (passed, refused) = (door.passed(), door.refused());
            self.reporter.log(&format!("door: {passed} connections passed, {refused} refused"));
            door.close().await;
            if let Some(beside) = beside {
                beside.close().await;
            }
            if let Err(error) = relay.stop(&self.host.docker).await {
                self.reporter.log(&format!("ending the relay: {error}; it goes with the stack"));
            }
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
            client: attached.web.as_ref().map(|web| &web.app),
            hands,
            probe: &locked,
            domain: &domain,
            way: attached.web.as_ref().map(Web::way).unwrap_or_default(),
            cancellation: self.cancellation,
            evidence,
        };
        let seen = self.followed(attached, look(&looking)).await;
        if self.cancellation.is_cancelled() { Err(TierStop::Cancelled) } else { Ok(seen) }
    }

    fn stop_for(&self, tier: Tier, status: Status, said: &str) -> Result<(), TierStop> {
        match status {
            Status::Pass | Status::NotApplicable => Ok(()),
            Status::Fail => Err(TierStop::Failed),
            Status::Unverified if self.cancellation.is_cancelled() => Err(TierStop::Cancelled),
            Status::Unverified => Err(trouble(tier, format!("the app could not be looked at: {said}"))),
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

/// What a relay to the web-facing service's task is made for.
fn relay_job<'j>(
    hands: &'j SwarmHands,
    service: &'j str,
    container: &'j str,
    port: u16,
    folder: &'j Path,
) -> RelayJob<'j> {
    let SwarmHands { stack, run, helper_image: image, .. } = hands;
    RelayJob { stack, run, image, service, container, port, folder }
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
