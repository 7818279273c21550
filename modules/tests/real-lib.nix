# The same hosts evaluated by the library of a real nixpkgs, to be compared with what the small evaluator says.
{
  nixpkgs,
}:
let
  lib = import (nixpkgs + "/lib");
  stand-ins = import ./pkgs.nix { lib = import ./lib.nix; };
  value = lib.types.nullOr (
    lib.types.oneOf [
      lib.types.bool
      lib.types.int
      lib.types.float
      lib.types.str
      lib.types.path
      (lib.types.attrsOf value)
      (lib.types.listOf value)
    ]
  );
  pkgs = stand-ins // {
    lib = lib // {
      inherit (stand-ins.lib) fileset;
    };
    formats = builtins.mapAttrs (
      _name: format: options:
      (format options) // { type = value; }
    ) stand-ins.formats;
  };
  units = import ./units.nix { inherit lib; };
  combinations = import ./combinations.nix { inherit lib; };
  evaluate =
    modules:
    let
      inherit
        (lib.evalModules {
          modules = [
            ./foreign.nix
            ../default.nix
            { _module.args = { inherit pkgs; }; }
          ]
          ++ modules;
        })
        config
        ;
      ours = lib.filterAttrs (name: unit: lib.hasPrefix "cc-ci" name && unit.enable);
      render =
        kind: one: set:
        lib.mapAttrs' (name: unit: lib.nameValuePair "${name}.${kind}" (one unit)) (ours set);
    in
    {
      failed = map (one: one.message) (lib.filter (one: !one.assertion) config.assertions);
      units =
        render "service" units.service config.systemd.services
        // render "socket" units.socket config.systemd.sockets
        // render "timer" units.timer config.systemd.timers;
      files = builtins.mapAttrs (_name: file: file.settings) config.services.cc-ci.configFiles;
      inherit (config.systemd.tmpfiles) rules;
      secrets = lib.attrNames config.sops.secrets;
      complaints = import ./complaints.nix { inherit config lib; };
    };
in
{
  hosts = builtins.mapAttrs (_name: evaluate) combinations.good;
  refused = builtins.mapAttrs (_name: case: {
    inherit (evaluate case.modules) failed;
  }) combinations.refused;
}
