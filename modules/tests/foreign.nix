# The options of NixOS and sops-nix that our modules set. Strict where a misspelt key would pass `systemd-analyze` in silence.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  of =
    type: default:
    mkOption {
      inherit type default;
    };
  loose = of types.anything { };
  names = of (types.listOf types.str) [ ];
  text = of types.str "";
  free = of (types.attrsOf types.anything) { };
  unit = {
    enable = of types.bool true;
    description = text;
    documentation = names;
    after = names;
    before = names;
    requires = names;
    wants = names;
    bindsTo = names;
    partOf = names;
    conflicts = names;
    onFailure = names;
    wantedBy = names;
    requiredBy = names;
    unitConfig = free;
    startLimitIntervalSec = of (types.nullOr types.int) null;
    startLimitBurst = of (types.nullOr types.int) null;
    restartTriggers = of (types.listOf types.anything) [ ];
  };
  units =
    more:
    of (types.attrsOf (
      types.submodule {
        options = unit // more;
      }
    )) { };
  secret = types.submodule (
    { name, ... }:
    {
      options = {
        key = of types.str name;
        mode = of types.str "0400";
        owner = of (types.nullOr types.str) null;
        group = of (types.nullOr types.str) null;
        sopsFile = of (types.nullOr types.path) null;
        path = of types.str "/run/secrets/${name}";
        restartUnits = names;
      };
    }
  );
in
{
  options = {
    networking = loose;
    boot = loose;
    fileSystems = loose;
    users = loose;
    environment = loose;
    security = loose;
    time = loose;
    nix = loose;
    nixpkgs = loose;
    system = loose;
    services.openssh = loose;
    services.getty = loose;
    systemd = {
      services = units {
        environment = of (types.attrsOf (types.nullOr types.str)) { };
        path = of (types.listOf types.package) [ ];
        serviceConfig = free;
        restartIfChanged = of types.bool true;
        reloadIfChanged = of types.bool false;
        stopIfChanged = of types.bool true;
      };
      sockets = units {
        socketConfig = free;
        listenStreams = names;
        listenDatagrams = names;
      };
      timers = units { timerConfig = free; };
      paths = units { pathConfig = free; };
      tmpfiles.rules = names;
    };
    virtualisation.docker = {
      enable = of types.bool false;
      liveRestore = of types.bool true;
      daemon.settings = free;
      autoPrune.enable = of types.bool false;
    };
    # Only where a virtual machine is built of a host: NixOS keeps the whole machine's modules in here.
    virtualisation.vmVariant = loose;
    assertions = of (types.listOf (
      types.submodule {
        options = {
          assertion = mkOption { type = types.bool; };
          message = mkOption { type = types.str; };
        };
      }
    )) [ ];
    warnings = names;
    sops = {
      defaultSopsFile = of (types.nullOr types.path) null;
      age.keyFile = of (types.nullOr types.str) null;
      age.sshKeyPaths = names;
      secrets = of (types.attrsOf secret) { };
    };
  };
}
