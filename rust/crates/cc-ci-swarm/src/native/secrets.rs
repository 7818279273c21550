//! Which secrets a compose needs, and making those that are missing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bollard::models::SecretSpec;
use bollard::query_parameters::ListSecretsOptions;
use cc_ci_model::compose::{self, ComposeSource};
use cc_ci_model::deploy_overlay::RUN_LABEL;
use cc_ci_model::secret_rules::{Charset, SecretKind, SecretRule, secret_rules};
use cc_ci_process::mask::{Masker, SecretValue};

use super::DeployError;
use super::generate::generate;
use super::render::{App, Rendered};
use crate::docker::{Docker, DockerError};
use crate::lock::HeldLock;

/// Stands in for a secret that cannot be generated.
const INVENTED: SecretKind = SecretKind::Random { length: 32, charset: Charset::Default };

/// The values of the secrets a run has made, by their names without the stack's: whoever restores an app elsewhere brings
/// them along, since its data may be of no use without.
#[derive(Default)]
pub struct KnownSecrets(Mutex<BTreeMap<String, String>>);

impl KnownSecrets {
    fn value(&self, name: &str) -> Option<SecretValue> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).map(|text| SecretValue::new(text.clone()))
    }

    fn keep(&self, name: &str, value: &SecretValue) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), value.expose().to_owned());
    }
}

/// Where values come from that are not made here.
#[derive(Clone, Copy)]
pub struct SecretSources<'a> {
    /// For secrets that cannot be generated, by compose key.
    pub given: &'a BTreeMap<String, String>,
    /// Those of the run's first stack, for a second one; what is made is kept there.
    pub known: &'a KnownSecrets,
}

impl App {
    /// Makes every external secret of the stack that does not exist yet. Each value is told to the masker before it is
    /// used. Returns the names made.
    ///
    /// # Errors
    /// [`DeployError::Recipe`] where a secret has no rule or an impossible one; [`DeployError::Docker`] where Docker refuses.
    pub async fn make_secrets(
        &self,
        docker: &Docker,
        rendered: &Rendered,
        SecretSources { given, known }: SecretSources<'_>,
        masker: &Masker,
        lock: &HeldLock,
    ) -> Result<Vec<String>, DeployError> {
        lock.covers(&self.stack).map_err(DockerError::from)?;
        let rules = secret_rules(self.env.file()).map_err(|error| DeployError::Recipe(error.to_string()))?;
        let variables = self.secret_variables(rendered, &rules)?;
        let present = secret_names(docker).await?;
        let mut made = Vec::new();
        for (key, secret) in &rendered.compose.secrets {
            let Some(name) = &secret.name else { continue };
            let Some(own_name) = name.strip_prefix(&self.stack.prefix()) else { continue };
            if !secret.external || present.contains(name) {
                continue;
            }
            let rule =
                variables.get(key).and_then(|variable| rules.iter().find(|rule| rule.variable == *variable));
            let kind = match (given.get(key), rule) {
                (Some(_), _) => SecretKind::Given,
                (None, Some(rule)) => rule.kind,
                (None, None) => {
                    return Err(DeployError::Recipe(format!(
                        "secret {key} cannot be made: .env.sample has no SECRET_…_VERSION line for its name {name}"
                    )));
                }
            };
            let value = match (known.value(own_name), given.get(key)) {
                (Some(value), _) => value,
                (None, Some(text)) => SecretValue::new(text.clone()),
                // An operator would bring it; a run needs something that deploys, and says so.
                (None, None) => match generate(kind).or_else(|| generate(INVENTED)) {
                    Some(value) => value,
                    None => continue,
                },
            };
            known.keep(own_name, &value);
            // A value that is too short to be masked is no secret worth hiding: `length=4` asks for exactly that.
            if value.expose().len() >= 8 {
                masker.add(key, &value).map_err(|error| DeployError::Recipe(error.to_string()))?;
            }
            self.create_secret(docker, name, &value, lock).await?;
            let invented = kind == SecretKind::Given && !given.contains_key(key);
            made.push(if invented {
                format!("{name} (generate=false: a made-up value)")
            } else {
                name.clone()
            });
        }
        Ok(made)
    }

    async fn create_secret(
        &self,
        docker: &Docker,
        name: &str,
        value: &SecretValue,
        _lock: &HeldLock,
    ) -> Result<(), DockerError> {
        let labels = [
            ("com.docker.stack.namespace".to_owned(), self.stack.to_string()),
            (RUN_LABEL.to_owned(), self.run.to_string()),
        ];
        let spec = SecretSpec {
            name: Some(name.to_owned()),
            labels: Some(labels.into_iter().collect()),
            data: Some(BASE64.encode(value.expose())),
            ..SecretSpec::default()
        };
        let made = docker.api().create_secret(spec).await;
        made.map(|_| ()).map_err(|error| DockerError::of(format!("making the secret {name}"), error))
    }

    /// The variable behind each secret's version. Names of secrets and variables may differ (abra.md 4.4), so it is found
    /// by reading the compose once more with the variables' own names in place of their values.
    fn secret_variables(
        &self,
        rendered: &Rendered,
        rules: &[SecretRule],
    ) -> Result<BTreeMap<String, String>, DeployError> {
        let mut env = rendered.env.clone();
        for rule in rules {
            env.insert(rule.variable.clone(), format!("<{}>", rule.variable));
        }
        let mut sources = Vec::new();
        for path in &rendered.files {
            if let Some(text) = self.checkout.read(path)? {
                sources.push(ComposeSource { path: path.clone(), text });
            }
        }
        let file = |path: &str| self.checkout.read(path).ok().flatten();
        let named =
            compose::read(&sources, &env, &file).map_err(|error| DeployError::Recipe(error.to_string()))?;
        let variable = |name: &str| {
            let (_, rest) = name.split_once('<')?;
            rest.split_once('>').map(|(variable, _)| variable.to_owned())
        };
        Ok(named
            .secrets
            .iter()
            .filter_map(|(key, secret)| Some((key.clone(), variable(secret.name.as_deref()?)?)))
            .collect())
    }
}

async fn secret_names(docker: &Docker) -> Result<Vec<String>, DockerError> {
    let listed = docker.api().list_secrets(None::<ListSecretsOptions>).await;
    let listed = listed.map_err(|error| DockerError::of("listing the secrets of the swarm", error))?;
    Ok(listed.into_iter().filter_map(|secret| secret.spec?.name).collect())
}
