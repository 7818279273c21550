//! The compose gate's second look: the service specs as the engine holds them, judged by the same rules.
//!
//! The first look is at files, read by our own reader; the deploy is the CLI's. Should the two ever read a file
//! differently, this look sees what was really asked for, and the run ends before anything is checked.

use bollard::models::{MountType, ServiceSpec, TaskSpecContainerSpec};
use cc_ci_model::compose::gate::{HARMLESS_BINDS, HARMLESS_CAPABILITIES};
use cc_ci_model::names::StackName;

use crate::docker::{Docker, DockerError};
use crate::snapshot;

/// Everything the deployed services of a stack ask for that no recipe may, in sentences; empty means: go on.
///
/// # Errors
/// The engine cannot be asked.
pub async fn judge(docker: &Docker, stack: &StackName) -> Result<Vec<String>, DockerError> {
    let services = snapshot::services(docker, stack).await?;
    Ok(services.values().filter_map(|service| service.spec.as_ref()).flat_map(of_spec).collect())
}

fn of_spec(spec: &ServiceSpec) -> Vec<String> {
    let name = spec.name.as_deref().unwrap_or_default();
    let container = spec.task_template.as_ref().and_then(|template| template.container_spec.as_ref());
    let found = container.map(of_container).unwrap_or_default();
    found
        .into_iter()
        .map(|what| format!("service {name} was deployed with {what}, which no recipe may have"))
        .collect()
}

fn of_container(container: &TaskSpecContainerSpec) -> Vec<String> {
    let mut found = Vec::new();
    for mount in container.mounts.iter().flatten() {
        let source = mount.source.as_deref().unwrap_or_default();
        match mount.typ {
            Some(MountType::VOLUME | MountType::TMPFS) | None => {
                let driver = mount.volume_options.as_ref().and_then(|options| options.driver_config.as_ref());
                let foreign = driver.is_some_and(|driver| {
                    driver.name.as_deref().is_some_and(|name| !name.is_empty() && name != "local")
                        || driver.options.as_ref().is_some_and(|options| options.contains_key("device"))
                });
                if foreign {
                    found.push(format!("a volume {source} whose driver reaches the host"));
                }
            }
            Some(MountType::BIND) if HARMLESS_BINDS.contains(&source) && mount.read_only == Some(true) => {}
            Some(other) => found.push(format!("a mount of kind {other} of {source}")),
        }
    }
    for capability in container.capability_add.iter().flatten() {
        let bare = capability.trim_start_matches("CAP_");
        if !HARMLESS_CAPABILITIES.contains(&bare) {
            found.push(format!("the capability {capability}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use bollard::models::{Mount, TaskSpec};

    use super::*;

    fn judged(container: TaskSpecContainerSpec) -> Vec<String> {
        let template = TaskSpec { container_spec: Some(container), ..TaskSpec::default() };
        of_spec(&ServiceSpec {
            name: Some("x_app".into()),
            task_template: Some(template),
            ..ServiceSpec::default()
        })
    }

    fn mount(kind: MountType, source: &str, read_only: bool) -> TaskSpecContainerSpec {
        let mount = Mount {
            typ: Some(kind),
            source: Some(source.into()),
            read_only: Some(read_only),
            ..Mount::default()
        };
        TaskSpecContainerSpec { mounts: Some(vec![mount]), ..TaskSpecContainerSpec::default() }
    }

    #[test]
    fn what_was_really_deployed_is_judged_by_the_gates_rules() {
        assert!(judged(mount(MountType::VOLUME, "x_data", false)).is_empty());
        assert!(judged(mount(MountType::BIND, "/etc/localtime", true)).is_empty());
        for bad in [
            mount(MountType::BIND, "/etc/localtime", false),
            mount(MountType::BIND, "/var/run/docker.sock", true),
            mount(MountType::BIND, "/", true),
        ] {
            assert_eq!(judged(bad).len(), 1);
        }
        let capability = |name: &str| TaskSpecContainerSpec {
            capability_add: Some(vec![name.to_owned()]),
            ..TaskSpecContainerSpec::default()
        };
        assert!(judged(capability("CAP_CHOWN")).is_empty());
        assert_eq!(judged(capability("CAP_SYS_ADMIN")).len(), 1);
        assert_eq!(judged(capability("ALL")).len(), 1);
    }
}
