//! From command line, environment and settings file to what a run is given.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cc_ci_harness::previous::Previous;
use cc_ci_harness::setup::{Setup, WhenRed};
use cc_ci_model::bridge::parameters;
use cc_ci_model::opt_outs::OptOuts;
use cc_ci_model::recipe_toml::RecipeToml;
use cc_ci_model::request::{Request, RequestText};
use cc_ci_model::settings::{DeployerChoice, Settings, ViaChoice};
use cc_ci_process::environment;
use cc_ci_process::mask::{Masker, mask_files};
use cc_ci_process::state::StatePaths;

use super::BadArgument;
use crate::args::{DeployerArg, RequestArgs, ViaArg};

/// Where host settings lie unless `CCCI_SETTINGS` says otherwise.
const SETTINGS: &str = "/etc/cc-ci/settings.toml";

/// Reads everything a run or a plan needs to know.
pub(super) fn setup(args: RequestArgs) -> Result<Setup> {
    let settings = settings()?;
    let (deployer, via) = (deployer(args.deployer, &settings), via(args.via, &settings));
    let request = request(args)?;
    let test_data = test_data(&settings).join(request.recipe.as_str());
    let recipe_toml = recipe_toml(&test_data)?;
    let previous = Previous::read(&test_data)?;
    let opt_outs = opt_outs().map_err(|error| BadArgument(error.to_string()))?;
    Ok(Setup {
        request,
        settings,
        recipe_toml,
        test_data,
        previous,
        opt_outs,
        paths: StatePaths::from_environment(),
        deployer,
        via,
        when_red: WhenRed::Remove,
    })
}

/// Masks the host's own secrets: those that the settings name, and those that systemd hands to the unit.
///
/// # Errors
/// One of them cannot be read or masked: then nothing may be said.
pub(super) fn mask_host_secrets(settings: &Settings, masker: &Masker) -> Result<()> {
    let handed = std::env::var_os(environment::CREDENTIALS_DIRECTORY).map(PathBuf::from);
    let paths: Vec<PathBuf> = settings.secret_files.iter().cloned().chain(handed).collect();
    mask_files(masker, &paths)?;
    Ok(())
}

fn request(args: RequestArgs) -> Result<Request, BadArgument> {
    let bad = |error: &dyn std::fmt::Display| BadArgument(error.to_string());
    // Who asked, as the bridge hands it along; a run by hand has none of it.
    let receipt = parameters::receipt(|name| std::env::var(name).ok()).map_err(|error| bad(&error))?;
    let text = RequestText {
        recipe: args.recipe,
        source: args.src,
        reference: args.reference,
        pr: args.pr,
        tiers: args.tiers,
        from: args.from,
    };
    text.parse(receipt).map_err(|error| bad(&error))
}

/// What the caller's environment leaves out.
fn opt_outs() -> Result<OptOuts, cc_ci_model::opt_outs::OptOutError> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    let variables: Vec<(String, String)> = std::env::vars_os().filter_map(text).collect();
    let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    OptOuts::read(environment::CCCI_SKIP_GENERIC, variables)
}

/// The file that was named, whether it is there or not.
fn named_settings() -> Option<PathBuf> {
    std::env::var_os(environment::CCCI_SETTINGS).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Where the settings come from; none where there is no file and defaults hold.
pub(super) fn settings_file() -> Option<PathBuf> {
    named_settings().or_else(|| Some(PathBuf::from(SETTINGS)).filter(|path| path.exists()))
}

/// A missing default file means defaults; one that was named has to be there.
pub(super) fn settings() -> Result<Settings> {
    let named = named_settings();
    let path = named.clone().unwrap_or_else(|| PathBuf::from(SETTINGS));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Settings::parse(&path.to_string_lossy(), &text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            Ok(Settings::default())
        }
        Err(error) => Err(error).with_context(|| format!("reading the host's settings {}", path.display())),
    }
}

/// Folder of the per-recipe test data: as the settings say, else `recipes` beside the caller, else beside the program.
pub(super) fn test_data(settings: &Settings) -> PathBuf {
    if let Some(folder) = &settings.recipes {
        return folder.clone();
    }
    let beside = std::env::current_exe().ok().and_then(|exe| {
        exe.ancestors().map(|folder| folder.join("share/cc-ci/recipes")).find(|folder| folder.is_dir())
    });
    match std::env::current_dir() {
        Ok(here) if here.join("recipes").is_dir() => here.join("recipes"),
        _ => beside.unwrap_or_else(|| PathBuf::from("recipes")),
    }
}

/// Always our copy, never the pull request's. A recipe without data gets the generic floor.
fn recipe_toml(folder: &Path) -> Result<RecipeToml> {
    let path = folder.join("recipe.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(RecipeToml::parse(&path.to_string_lossy(), &text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(RecipeToml::absent()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn deployer(asked: Option<DeployerArg>, settings: &Settings) -> DeployerChoice {
    match asked {
        None => settings.deployer,
        Some(DeployerArg::Auto) => DeployerChoice::Auto,
        Some(DeployerArg::Abra) => DeployerChoice::Abra,
        Some(DeployerArg::Native) => DeployerChoice::Native,
    }
}

fn via(asked: Option<ViaArg>, settings: &Settings) -> ViaChoice {
    match asked {
        None => settings.via,
        Some(ViaArg::Auto) => ViaChoice::Auto,
        Some(ViaArg::Proxy) => ViaChoice::Proxy,
        Some(ViaArg::Direct) => ViaChoice::Direct,
    }
}
