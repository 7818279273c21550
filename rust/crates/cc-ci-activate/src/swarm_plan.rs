//! What has to be done for the swarm to be as declared: a decision over facts, without any I/O.

use serde::Deserialize;

/// What `swarm` reads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmSettings {
    /// The host's zone, for messages.
    pub zone: cc_ci_model::names::Zone,
    /// Addresses of the network `proxy`.
    pub proxy_subnet: String,
    /// Addresses of `docker_gwbridge`.
    pub gateway_subnet: String,
    /// Where networks of apps get theirs.
    pub address_pools: Vec<String>,
    /// Archive of the helper's image.
    pub helper_image: std::path::PathBuf,
}

/// What was found on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SwarmFacts {
    /// Whether it is an active manager.
    pub is_swarm: bool,
    /// Subnet of `docker_gwbridge`; none where there is no such network.
    pub gateway: Option<String>,
    /// Subnet and driver of `proxy`; none where there is no such network.
    pub proxy: Option<(String, String)>,
    /// Whether the helper's image is there.
    pub has_helper: bool,
    /// The archive that it was loaded from last, as far as anybody remembers.
    pub helper_from: Option<std::path::PathBuf>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make `docker_gwbridge`, which a swarm else makes with addresses of its own choice.
    MakeGateway,
    /// Make the swarm.
    InitSwarm,
    /// Make the network `proxy`.
    MakeProxy,
    /// Load the helper's image.
    LoadHelper,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::MakeGateway => "make the network docker_gwbridge",
            Self::InitSwarm => "make this engine a swarm of one node",
            Self::MakeProxy => "make the network proxy",
            Self::LoadHelper => "load the helper's image",
        })
    }
}

/// What nobody but a person may change: apps run in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// A network is there and is another one.
    #[error(
        "the network {name} has {found}, and {wanted} is declared: drain the host, remove its stacks and `docker network rm {name}`, or declare what is there"
    )]
    Network {
        /// Which.
        name: &'static str,
        /// What it has.
        found: String,
        /// What is declared.
        wanted: String,
    },
}

/// The steps, in their order; none where all is as declared.
///
/// # Errors
/// Something is there that would have to go first.
pub fn plan(wanted: &SwarmSettings, found: &SwarmFacts) -> Result<Vec<Step>, Obstacle> {
    let differs = |name, has: &str, declared: &str| Obstacle::Network {
        name,
        found: has.to_owned(),
        wanted: declared.to_owned(),
    };
    let mut steps = Vec::new();
    match &found.gateway {
        None => steps.push(Step::MakeGateway),
        Some(has) if *has != wanted.gateway_subnet => {
            return Err(differs("docker_gwbridge", has, &wanted.gateway_subnet));
        }
        Some(_) => {}
    }
    if !found.is_swarm {
        steps.push(Step::InitSwarm);
    }
    match &found.proxy {
        None => steps.push(Step::MakeProxy),
        // One that was made before there was a swarm cannot carry services.
        Some((_, driver)) if driver != "overlay" => return Err(differs("proxy", driver, "overlay")),
        Some((has, _)) if *has != wanted.proxy_subnet => {
            return Err(differs("proxy", has, &wanted.proxy_subnet));
        }
        Some(_) => {}
    }
    if !found.has_helper || found.helper_from.as_ref() != Some(&wanted.helper_image) {
        steps.push(Step::LoadHelper);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> SwarmSettings {
        SwarmSettings {
            zone: cc_ci_model::names::Zone::parse("ci.example.org").unwrap(),
            proxy_subnet: "10.200.0.0/20".to_owned(),
            gateway_subnet: "172.18.0.0/16".to_owned(),
            address_pools: vec!["10.201.0.0/16".to_owned()],
            helper_image: "/nix/store/x-helper.tar".into(),
        }
    }

    fn whole() -> SwarmFacts {
        SwarmFacts {
            is_swarm: true,
            gateway: Some("172.18.0.0/16".to_owned()),
            proxy: Some(("10.200.0.0/20".to_owned(), "overlay".to_owned())),
            has_helper: true,
            helper_from: Some("/nix/store/x-helper.tar".into()),
        }
    }

    #[test]
    fn an_empty_engine_needs_all_in_this_order() {
        let steps = plan(&wanted(), &SwarmFacts::default()).unwrap();
        assert_eq!(steps, [Step::MakeGateway, Step::InitSwarm, Step::MakeProxy, Step::LoadHelper]);
    }

    #[test]
    fn second_activation_changes_nothing() {
        assert_eq!(plan(&wanted(), &whole()), Ok(vec![]));
    }

    #[test]
    fn a_new_helper_is_loaded_and_nothing_else_happens() {
        let found = SwarmFacts { helper_from: Some("/nix/store/old.tar".into()), ..whole() };
        assert_eq!(plan(&wanted(), &found), Ok(vec![Step::LoadHelper]));
        assert_eq!(plan(&wanted(), &SwarmFacts { has_helper: false, ..whole() }), Ok(vec![Step::LoadHelper]));
    }

    #[test]
    fn a_network_that_apps_may_be_in_is_never_replaced() {
        let other = Some(("10.0.1.0/24".to_owned(), "overlay".to_owned()));
        let error = plan(&wanted(), &SwarmFacts { proxy: other, ..whole() }).unwrap_err().to_string();
        assert!(error.contains("docker network rm proxy") && error.contains("10.0.1.0/24"), "{error}");
        let bridge = Some(("10.200.0.0/20".to_owned(), "bridge".to_owned()));
        assert!(plan(&wanted(), &SwarmFacts { proxy: bridge, ..whole() }).is_err());
        let gateway = Some("172.19.0.0/16".to_owned());
        assert!(plan(&wanted(), &SwarmFacts { gateway, ..whole() }).is_err());
    }
}
