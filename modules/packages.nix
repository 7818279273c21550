# Which programs the rooms run, each to be replaced by itself.
{ lib, pkgs, ... }:
let
  ours = import ../pkgs { inherit pkgs; };
  program =
    name: what:
    lib.mkOption {
      type = lib.types.package;
      default = ours.${name};
      defaultText = lib.literalExpression "packages.${name} of this flake";
      description = "Package of ${what}.";
    };
in
{
  options.services.cc-ci.packages = {
    cc-ci = program "cc-ci" "the program that a run is made by";
    bridge = program "cc-ci-bridge" "the bridge between the forge and Drone";
    dashboard = program "cc-ci-dashboard" "the read-only pages";
    janitor = program "cc-ci-janitor" "the sweep";
    activate = program "cc-ci-activate" "the oneshots that bring swarm and infrastructure up";
    helperImage = program "helper-image" "the archive of the helper container's image";
    recipes = program "recipes" "the per-recipe test data";
    abra = lib.mkOption {
      type = lib.types.nullOr lib.types.package;
      default = pkgs.abra;
      defaultText = lib.literalExpression "pkgs.abra";
      description = "Package of abra, which operators deploy with. Null: runs deploy by the native driver only.";
    };
    execRunner = lib.mkOption {
      type = lib.types.package;
      default = pkgs.drone-runner-exec;
      defaultText = lib.literalExpression "pkgs.drone-runner-exec";
      description = "Package of Drone's exec runner. nixpkgs' own is unfree: the host allows it by name.";
    };
  };
}
