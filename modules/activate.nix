# The oneshots: each brings one part of the swarm into the declared state, and does nothing where it is there.
{ config, lib, ... }:
let
  cfg = config.services.cc-ci.activate;
  server = config.services.cc-ci;
  program = lib.getExe' server.packages.activate "cc-ci-activate";
  unit = name: "cc-ci-activate-${name}";
  each = f: lib.mapAttrs' (name: step: lib.nameValuePair (unit name) (f name step)) cfg.steps;
in
{
  options.services.cc-ci.activate.steps = lib.mkOption {
    default = { };
    description = "Oneshots by the verb of `cc-ci-activate` they call. Rooms fill this.";
    type = lib.types.attrsOf (
      lib.types.submodule {
        options = {
          settings = lib.mkOption {
            type = lib.types.attrsOf lib.types.anything;
            description = "What the verb reads. The unit's text holds the hash of it, so a change rolls this step and no other.";
          };
          after = lib.mkOption {
            type = lib.types.listOf lib.types.str;
            default = [ ];
            description = "Steps that come before.";
          };
          secrets = lib.mkOption {
            type = lib.types.listOf lib.types.str;
            default = [ ];
            description = "Secrets that it is handed as credentials.";
          };
        };
      }
    );
  };

  config = lib.mkIf (cfg.steps != { }) {
    services.cc-ci = {
      configFiles = lib.mapAttrs' (
        name: step:
        lib.nameValuePair "activate-${name}.toml" {
          inherit (step) settings;
          check = "${program} ${name} --check-config --config";
        }
      ) cfg.steps;
      hardening = each (_name: _step: { });
      secrets.readers =
        lib.genAttrs (lib.unique (lib.concatMap (step: step.secrets) (lib.attrValues cfg.steps)))
          (
            secret:
            map unit (lib.filter (name: lib.elem secret cfg.steps.${name}.secrets) (lib.attrNames cfg.steps))
          );
    };

    users.groups.cc-ci-activate = { };
    users.users.cc-ci-activate = {
      isSystemUser = true;
      group = "cc-ci-activate";
      description = "oneshots of cc-ci";
    };

    systemd.services = each (
      name: step: {
        description = "cc-ci: bring ${name} into the declared state";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        requires = [ "docker.service" ];
        after = [
          "docker.service"
          "network-online.target"
        ]
        ++ map (other: "${unit other}.service") step.after;
        startLimitIntervalSec = 900;
        startLimitBurst = 5;
        path = server.harness.tools;
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${program} ${name} --config ${server.configFiles."activate-${name}.toml".source}";
          User = "cc-ci-activate";
          Group = "cc-ci-activate";
          SupplementaryGroups = [
            "cc-ci"
            "docker"
          ];
          Restart = "on-failure";
          RestartSec = "30s";
          TimeoutStartSec = "15min";
          StateDirectory = "cc-ci/activate";
          StateDirectoryMode = "0700";
          PrivateUsers = true;
          RestrictAddressFamilies = [
            "AF_UNIX"
            "AF_INET"
            "AF_INET6"
          ];
        };
      }
    );
  };
}
