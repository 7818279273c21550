# The helper container's image, as an archive that `docker load` takes: our static program and restic, nothing else.
{ pkgs }:
let
  inherit (pkgs) lib;
  helper = pkgs.pkgsStatic.rustPlatform.buildRustPackage {
    pname = "cc-ci-helper";
    version = "0.1.0";
    src = import ./source.nix { inherit lib; };
    sourceRoot = "source/rust";
    cargoLock.lockFile = ../rust/Cargo.lock;
    cargoBuildFlags = [
      "--package"
      "cc-ci-helper"
    ];
    cargoTestFlags = [
      "--package"
      "cc-ci-helper"
    ];
    meta.license = lib.licenses.agpl3Plus;
  };
in
pkgs.dockerTools.buildImage {
  # The very name that runs look for where settings say nothing else.
  name = "cc-ci-helper";
  tag = "local";
  copyToRoot = pkgs.runCommand "cc-ci-helper-root" { } ''
    mkdir $out
    cp ${helper}/bin/cc-ci-helper $out/cc-ci-helper
    cp ${pkgs.pkgsStatic.restic}/bin/restic $out/restic
  '';
  config = {
    Entrypoint = [ "/cc-ci-helper" ];
    Env = [ "PATH=/" ];
  };
}
