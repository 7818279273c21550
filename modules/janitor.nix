# The janitor: a sweep at boot and by a timer. It has Docker's socket and no network.
{ config, lib, ... }:
let
  cfg = config.services.cc-ci.janitor;
  server = config.services.cc-ci;
  folders = import ./folders.nix;
in
{
  options.services.cc-ci.janitor = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = server.enable;
      defaultText = lib.literalExpression "config.services.cc-ci.enable";
      description = "Whether leftovers of dead runs are removed on this host.";
    };
    calendar = lib.mkOption {
      type = lib.types.nonEmptyStr;
      default = "*:0/15";
      description = "When it sweeps, in the syntax of systemd.time(7); also at boot.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = server.harness.enable;
        message = "services.cc-ci.janitor sweeps after runs and none are made here: set services.cc-ci.harness.enable = true, or janitor.enable = false.";
      }
    ];
    services.cc-ci.hardening.cc-ci-janitor.relax = {
      UMask = {
        value = "0027";
        reason = "the dashboard reads diary and health by group cc-ci";
      };
      ProcSubset = {
        value = null;
        reason = "health.json holds the machine's memory, from /proc/meminfo";
      };
    };

    systemd.services.cc-ci-janitor = {
      description = "sweep of cc-ci: remove what nobody owns";
      wantedBy = [ "multi-user.target" ];
      requires = [ "docker.service" ];
      after = [
        "docker.service"
        "cc-ci-activate-swarm.service"
      ];
      environment = server.harness.environment;
      path = server.harness.tools;
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "${lib.getExe' server.packages.janitor "cc-ci-janitor"} sweep";
        # It removes what the runner made.
        User = "cc-ci";
        Group = "cc-ci";
        SupplementaryGroups = [ "docker" ];
        TimeoutStartSec = "30min";
        ReadWritePaths = [
          folders.state
          folders.locks
        ];
        PrivateUsers = true;
        PrivateNetwork = true;
        IPAddressDeny = "any";
        RestrictAddressFamilies = [ "AF_UNIX" ];
      };
    };

    systemd.timers.cc-ci-janitor = {
      description = "sweeps of cc-ci";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = cfg.calendar;
        Persistent = true;
        RandomizedDelaySec = "1min";
      };
    };
  };
}
