# The whole server: every room, and what all of them share (the zone, the folders, the people).
{ config, lib, ... }:
let
  cfg = config.services.cc-ci;
  folders = import ./folders.nix;
in
{
  imports = [
    ./activate.nix
    ./bridge.nix
    ./config-files.nix
    ./dashboard.nix
    ./drone.nix
    ./hardening.nix
    ./harness.nix
    ./janitor.nix
    ./monitoring.nix
    ./packages.nix
    ./registry.nix
    ./secrets.nix
    ./swarm.nix
  ];

  options.services.cc-ci = {
    enable = lib.mkEnableOption "all rooms of the CI server; each can be switched by itself";
    zone = lib.mkOption {
      type = lib.types.strMatching "[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+";
      example = "ci.example.org";
      description = "DNS zone below which apps under test get their names, served by one wildcard certificate. One host per zone.";
    };
    machine = lib.mkOption {
      type = lib.types.str;
      example = "ci";
      description = "Host name of the one machine that this configuration is for. Another `networking.hostName` is an error, so that a wrong attribute fails before the switch.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.machine == config.networking.hostName;
        message = "services.cc-ci.machine is \"${cfg.machine}\" and networking.hostName is \"${config.networking.hostName}\": choose the attribute of this very machine, or set both to its name.";
      }
      {
        assertion = lib.hasPrefix "/dev/disk/by-" config.fileSystems."/".device;
        message = "fileSystems.\"/\".device is \"${config.fileSystems."/".device}\", which may be another disk after a reboot: name it by /dev/disk/by-uuid/… or /dev/disk/by-id/….";
      }
    ];

    # Common recipes bind it, and NixOS has none of its own accord.
    environment.etc."timezone".text = "${config.time.timeZone}\n";

    users.groups.cc-ci = { };
    users.users.cc-ci = {
      isSystemUser = true;
      group = "cc-ci";
      home = folders.state;
      description = "runs of cc-ci";
    };

    # Setgid comes from here alone: the services themselves may not set it (RestrictSUIDSGID).
    systemd.tmpfiles.rules = [
      "d ${folders.state} 2770 cc-ci cc-ci -"
      "d ${folders.runs} 2770 cc-ci cc-ci -"
      "d ${folders.cancel} 2770 cc-ci cc-ci -"
      "d ${folders.imported} 2770 cc-ci cc-ci -"
      "d ${folders.state}/claims 2770 cc-ci cc-ci -"
      "d ${folders.state}/stacks 2770 cc-ci cc-ci -"
      "d ${folders.locks} 2770 cc-ci cc-ci -"
    ];
  };
}
