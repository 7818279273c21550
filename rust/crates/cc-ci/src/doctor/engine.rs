//! Lines about the engine: Docker, swarm, the network shared with the proxy, virtual addresses, the helper's image.

use cc_ci_harness::host::{helper_image_there, proxy_network};
use cc_ci_model::doctor::{self, Line};
use cc_ci_model::outcome::Trouble;
use cc_ci_swarm::docker::{Docker, EngineInfo, Ipvs, ipvs};
use cc_ci_swarm::room_left::proxy_addresses;

use super::{Engine, Host, no_engine, within};

const START: &str =
    "start it: systemctl start docker; a normal user has to be in the group docker, or set DOCKER_HOST";

pub(super) async fn examine(host: &Host<'_>) -> (Vec<Line>, Engine) {
    let mut lines = Vec::new();
    let asked = within("asking Docker about itself", async {
        let docker = Docker::connect(None).await?;
        let info = docker.info().await?;
        Ok::<_, cc_ci_swarm::docker::DockerError>((docker, info))
    });
    let answer = asked.await.and_then(|answer| answer.map_err(|error| error.to_string()));
    let swarm = match answer {
        Err(why) => {
            lines.push(Line::bad("Docker", why, START));
            lines.push(no_engine("swarm"));
            None
        }
        Ok((docker, info)) => {
            let (version, api, at) = (&info.version, &info.api, docker.host());
            lines.push(Line::ok("Docker", format!("{version}, API {api}, at {at}")));
            let (line, is_manager) = swarm(&info);
            lines.push(line);
            is_manager.then_some((docker, info))
        }
    };
    lines.push(match ipvs() {
        Ipvs::Present => Line::ok("IPVS", "the kernel has it"),
        Ipvs::Absent(why) => Line::warn(
            "IPVS",
            why,
            "a kernel with the module ip_vs; until then apps are deployed with endpoint_mode dnsrr and without published ports",
        ),
    });
    match &swarm {
        Some((docker, _)) => lines.extend(of_swarm(host, docker).await),
        None => lines.extend(["network proxy", "address room", "helper image"].map(no_engine)),
    }
    (lines, swarm)
}

fn swarm(info: &EngineInfo) -> (Line, bool) {
    match &info.swarm_node {
        Some(node) => (Line::ok("swarm", format!("a manager, node {node}")), true),
        None => (
            Line::bad(
                "swarm",
                "this engine is no manager of a swarm",
                "docker swarm init --advertise-addr 127.0.0.1",
            ),
            false,
        ),
    }
}

async fn of_swarm(host: &Host<'_>, docker: &Docker) -> Vec<Line> {
    let checked = "network proxy";
    let asked = within("looking for the network proxy", proxy_network(docker)).await;
    let network = match &asked {
        Ok(Ok(())) => Line::ok(checked, "an overlay network"),
        Ok(Err(trouble)) => of_trouble(checked, trouble),
        Err(why) => Line::bad(checked, why.as_str(), START),
    };
    let checked = "address room";
    let asked = within("counting the addresses of the network proxy", proxy_addresses(docker)).await;
    let addresses = match asked {
        Ok(Ok(Some(addresses))) => doctor::addresses(addresses.total, addresses.left()),
        Ok(Ok(None)) => Line::skipped(checked, "the network proxy is missing or has no IPv4 subnet"),
        Ok(Err(error)) => Line::bad(checked, error.to_string(), START),
        Err(why) => Line::bad(checked, why, START),
    };
    let (checked, image) = ("helper image", host.settings.helper_image.as_str());
    let asked = within("looking for the helper image", helper_image_there(docker, image)).await;
    let helper = match &asked {
        Ok(Ok(())) => Line::ok(checked, format!("{image}, with restic in it")),
        Ok(Err(trouble)) => of_trouble(checked, trouble),
        Err(why) => Line::bad(checked, why.as_str(), START),
    };
    vec![network, addresses, helper]
}

/// The harness's own sentences: what is missing, then a colon, then what to do.
fn of_trouble(checked: &str, trouble: &Trouble) -> Line {
    match trouble.what.split_once(": ") {
        Some((found, todo)) if !trouble.retry => Line::bad(checked, found, todo),
        _ => Line::bad(checked, trouble.what.as_str(), START),
    }
}
