//! Whether a new tag of head is a new image: one whose digest was left behind is the old image under a new name.

use std::time::Instant;

use bollard::errors::Error as EngineError;
use cc_ci_model::outcome::Trouble;
use cc_ci_model::result::{Image, RunResult};
use cc_ci_swarm::docker::Docker;

use crate::side::Side;
use crate::tier_run::{TierRun, TierStop};

const CHECK: &str = "a new tag is a new image";

/// An image of head that has another tag than at base and the same digest, because head pins the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Suspect {
    service: String,
    /// Head's name without the digest.
    tagged: String,
    digest: String,
    /// Base's name.
    old: String,
}

/// Docker follows the digest and never reads the tag beside it: such an upgrade completes, with new tasks and every
/// label of head, on the old image. Two tags may be one image in truth, so the registry is asked before anything is said.
///
/// # Errors
/// The tier fails where the tag is another image than the pinned one; trouble where the registry cannot be asked.
pub async fn tags_follow_digests(
    docker: &Docker,
    tier: &mut TierRun,
    result: &RunResult,
) -> Result<(), TierStop> {
    for suspect in suspects(&result.images) {
        let since = Instant::now();
        let Suspect { service, tagged, digest, old } = &suspect;
        let asked = docker.api().inspect_registry_image(tagged, None).await;
        let truth = match asked {
            Ok(answer) => answer.descriptor.digest.unwrap_or_default(),
            Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => {
                "not in the registry".to_owned()
            }
            Err(error) => {
                let what = format!("asking the registry for {tagged}: {error}; try again when it answers");
                let place = tier.tier().word().to_owned();
                return Err(TierStop::Trouble(Trouble { what, place, retry: true }));
            }
        };
        if truth != *digest {
            let message = format!(
                "service {service} keeps the old image: head names {tagged} and pins {digest}, which is {old} of the \
                 base; {tagged} is {truth}; raise the digest with the tag"
            );
            return Err(tier.failed(CHECK, since, message));
        }
        tier.passed(CHECK, since, format!("{service}: {tagged} and {old} are one image"));
    }
    Ok(())
}

fn suspects(images: &[Image]) -> Vec<Suspect> {
    let of = |side: Side| images.iter().filter(move |image| image.side == side.word());
    let suspects = of(Side::Head).filter_map(|head| {
        let (tagged, digest) = head.name.split_once('@')?;
        let base = of(Side::Base).find(|base| base.service == head.service)?;
        let old = base.name.split('@').next()?;
        let is_suspect = tagged != old && base.digest.as_deref() == Some(digest);
        is_suspect.then(|| Suspect {
            service: head.service.clone(),
            tagged: tagged.to_owned(),
            digest: digest.to_owned(),
            old: old.to_owned(),
        })
    });
    suspects.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(side: Side, name: &str, digest: &str) -> Image {
        let (service, side) = ("app".to_owned(), side.word().to_owned());
        Image { service, side, name: name.to_owned(), digest: Some(digest.to_owned()) }
    }

    fn is_suspect(base: &str, head: &str, digest: &str) -> bool {
        let images = [image(Side::Base, base, "sha256:aa"), image(Side::Head, head, digest)];
        !suspects(&images).is_empty()
    }

    #[test]
    fn only_a_new_tag_with_the_old_digest_is_suspected() {
        assert!(is_suspect("r/x:1@sha256:aa", "r/x:2@sha256:aa", "sha256:aa"));
        assert!(is_suspect("r/x:1", "r/x:2@sha256:aa", "sha256:aa"));
        assert!(!is_suspect("r/x:1@sha256:aa", "r/x:2@sha256:bb", "sha256:bb"));
        assert!(!is_suspect("r/x:1@sha256:aa", "r/x:1@sha256:aa", "sha256:aa"), "nothing was raised");
        assert!(!is_suspect("r/x:1", "r/x:2", "sha256:aa"), "Docker resolved the tag itself");
    }
}
