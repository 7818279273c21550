# One configuration evaluated by the small evaluator: what a host of ours comes to, without NixOS.
{
  modules,
}:
let
  lib = import ./lib.nix;
  pkgs = import ./pkgs.nix { inherit lib; };
  units = import ./units.nix { inherit lib; };
  small = import ./evaluator.nix;
  whole = small.evaluate {
    modules = [
      ./foreign.nix
      ../default.nix
    ]
    ++ modules;
    args = { inherit lib pkgs; };
  };
  inherit (whole) config;
  ours = lib.filterAttrs (name: unit: lib.hasPrefix "cc-ci" name && unit.enable);
  render =
    kind: one: set:
    lib.mapAttrs' (name: unit: lib.nameValuePair "${name}.${kind}" (one unit)) (ours set);
in
{
  inherit config lib;
  inherit (whole) options;
  failed = map (one: one.message) (lib.filter (one: !one.assertion) config.assertions);
  inherit (config) warnings;
  units =
    render "service" units.service config.systemd.services
    // render "socket" units.socket config.systemd.sockets
    // render "timer" units.timer config.systemd.timers
    // render "path" units.path config.systemd.paths;
  files = builtins.mapAttrs (_name: file: file.settings) config.services.cc-ci.configFiles;
  checks = builtins.mapAttrs (_name: file: file.check) config.services.cc-ci.configFiles;
  complaints = import ./complaints.nix { inherit config lib; };
}
