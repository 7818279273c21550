# The exec runner: takes builds from Drone, each of which is one run. The one number of parallel runs stands here.
{ config, lib, ... }:
let
  cfg = config.services.cc-ci.drone;
  server = config.services.cc-ci;
  folders = import ./folders.nix;
  pairs = lib.mapAttrsToList (name: value: "${name}:${value}");
  program = lib.getExe' server.packages.cc-ci "cc-ci";
in
{
  options.services.cc-ci.drone = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = server.enable;
      defaultText = lib.literalExpression "config.services.cc-ci.enable";
      description = "Whether this host takes builds from Drone.";
    };
    server = lib.mkOption {
      type = lib.types.strMatching "https?://[^/]+";
      default = "https://drone.${server.zone}";
      defaultText = lib.literalExpression "\"https://drone.\${config.services.cc-ci.zone}\"";
      description = "Address of the Drone server, without a slash at its end.";
    };
    capacity = lib.mkOption {
      type = lib.types.ints.positive;
      default = 2;
      description = "How many runs there are at once. Any number is safe; memory and processors decide (docs/performance.md).";
    };
    repositories = lib.mkOption {
      type = lib.types.listOf (lib.types.strMatching "[^/]+/[^/]+");
      default = lib.optional (server.bridge.settings ? pipeline) server.bridge.settings.pipeline;
      defaultText = lib.literalExpression "[ config.services.cc-ci.bridge.settings.pipeline ]";
      description = "The repositories whose pipelines this host carries out.";
    };
    stopWithin = lib.mkOption {
      type = lib.types.nonEmptyStr;
      default = "75min";
      description = "How long a stop waits for runs to end: a run's deadline, its teardown, and some time for both. After it they are killed, and the next sweep removes what they left.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = server.harness.enable;
        message = "services.cc-ci.drone takes builds that call cc-ci, and harness is off: set services.cc-ci.harness.enable = true.";
      }
      {
        assertion = cfg.repositories != [ ];
        message = "services.cc-ci.drone.repositories is empty, so that any repository of Drone could run programs here: name the pipeline's, such as \"cc-ci/cc-ci\".";
      }
    ];
    services.cc-ci.secrets.readers.drone-runner-env = [ "cc-ci-runner" ];
    services.cc-ci.hardening.cc-ci-runner.relax = {
      MemoryDenyWriteExecute = {
        value = null;
        reason = "the browser compiles code";
      };
      RestrictNamespaces = {
        value = null;
        reason = "bubblewrap and the browser's sandbox make namespaces";
      };
      SystemCallFilter = {
        value = null;
        reason = "tests may be written in any language";
      };
      SystemCallErrorNumber = {
        value = null;
        reason = "there is no filter";
      };
      ProcSubset = {
        value = null;
        reason = "admission and doctor read memory and load";
      };
      ProtectProc = {
        value = null;
        reason = "bubblewrap mounts a /proc of its own, which the kernel refuses beside a masked one";
      };
      ProtectKernelTunables = {
        value = null;
        reason = "the same";
      };
      ProtectKernelLogs = {
        value = null;
        reason = "the same";
      };
      PrivateTmp = {
        value = null;
        reason = "the Docker engine has to see what a test mounts";
      };
      PrivateDevices = {
        value = null;
        reason = "the browser wants /dev/shm and a terminal has to be made for abra";
      };
      ProtectSystem = {
        value = "full";
        reason = "a step writes below its own home and temporary folder";
      };
      UMask = {
        value = "0027";
        reason = "the dashboard and the bridge read runs by group cc-ci";
      };
    };

    systemd.services.cc-ci-runner = {
      description = "exec runner of Drone, which makes the runs of cc-ci";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      requires = [ "docker.service" ];
      after = [
        "docker.service"
        "network-online.target"
        "cc-ci-activate-swarm.service"
      ];
      # A switch must not kill a run. `systemctl restart cc-ci-runner` lets runs end first.
      restartIfChanged = false;
      path = server.harness.tools;
      environment = server.harness.environment // {
        DRONE_RPC_PROTO = builtins.head (builtins.split "://" cfg.server);
        DRONE_RPC_HOST = builtins.elemAt (builtins.split "://" cfg.server) 2;
        DRONE_RUNNER_NAME = server.machine;
        DRONE_RUNNER_CAPACITY = toString cfg.capacity;
        DRONE_RUNNER_ROOT = "${folders.state}/runner";
        DRONE_LIMIT_REPOS = lib.concatStringsSep "," cfg.repositories;
        # Steps are given these and PATH; nothing of what stands above.
        DRONE_RUNNER_ENVIRON = lib.concatStringsSep "," (
          pairs (
            server.harness.environment
            // {
              CREDENTIALS_DIRECTORY = "%d";
            }
            // lib.optionalAttrs server.registry.enable { DOCKER_CONFIG = "%d"; }
          )
        );
        # Its own pages are not needed.
        DRONE_HTTP_BIND = "127.0.0.1:0";
      };
      serviceConfig = {
        ExecStartPre = "${program} drain --off";
        ExecStart = "${lib.getExe' server.packages.execRunner "drone-runner-exec"} daemon %d/drone-runner-env";
        ExecStop = "${program} drain --wait";
        User = "cc-ci";
        Group = "cc-ci";
        SupplementaryGroups = [ "docker" ];
        Restart = "always";
        RestartSec = "10s";
        # TERM goes to the runner alone; runs end by their own teardown.
        KillMode = "mixed";
        TimeoutStopSec = cfg.stopWithin;
        StateDirectory = "cc-ci/runner";
        ReadWritePaths = [
          folders.state
          folders.locks
        ];
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
        TasksMax = 8192;
      };
    };
  };
}
