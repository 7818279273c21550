# Both hosts and the combinations that matter, evaluated by the small evaluator, as JSON for modules/tests/check.
let
  lib = import ./lib.nix;
  combinations = import ./combinations.nix { inherit lib; };
  shown = host: {
    inherit (host)
      checks
      complaints
      failed
      files
      units
      warnings
      ;
    preSwitch = host.config.system.preSwitchChecks or { };
    secrets = lib.attrNames host.config.sops.secrets;
    inherit (host.config.systemd.tmpfiles) rules;
    users = builtins.mapAttrs (_name: user: {
      group = user.group or "";
      extraGroups = user.extraGroups or [ ];
    }) (lib.filterAttrs (name: _user: lib.hasPrefix "cc-ci" name) (host.config.users.users or { }));
  };
  evaluate = modules: shown (import ./host.nix { inherit modules; });
in
{
  cases = import ./cases.nix;
  hosts = builtins.mapAttrs (_name: evaluate) combinations.good;
  refused = builtins.mapAttrs (
    _name: case:
    let
      host = import ./host.nix { inherit (case) modules; };
    in
    {
      inherit (case) words;
      inherit (host) failed;
    }
  ) combinations.refused;
}
