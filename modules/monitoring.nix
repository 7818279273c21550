# What calls a person: alerts over the metrics of dashboard and bridge, and what runs when a unit of ours fails.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.cc-ci.monitoring;
  server = config.services.cc-ci;
  watched =
    lib.optional server.janitor.enable "cc-ci-janitor"
    ++ lib.optional server.bridge.enable "cc-ci-bridge"
    ++ lib.optional server.dashboard.enable "cc-ci-dashboard"
    ++ lib.optional server.drone.enable "cc-ci-runner"
    ++ map (name: "cc-ci-activate-${name}") (lib.attrNames server.activate.steps);
  alert = alert: expr: wait: summary: {
    inherit alert expr;
    for = wait;
    annotations = { inherit summary; };
  };
  health = what: "cc_ci_health{what=\"${what}\"}";
in
{
  options.services.cc-ci.monitoring = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = server.enable;
      defaultText = lib.literalExpression "config.services.cc-ci.enable";
      description = "Whether `/etc/cc-ci/alerts.json` is written: a rule file for Prometheus over `/metrics` of dashboard and bridge.";
    };
    onFailure = lib.mkOption {
      type = lib.types.listOf (lib.types.strMatching ".+\\.(service|target)");
      default = [ ];
      example = lib.literalExpression ''[ "mail-root@%n.service" ]'';
      description = "Units that are started when one of cc-ci fails: the janitor that could not check, an activation, the bridge.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.etc."cc-ci/alerts.json".source = (pkgs.formats.json { }).generate "alerts.json" {
      groups = [
        {
          name = "cc-ci";
          rules = [
            (alert "CcCiNoSweep" "time() - cc_ci_health_measured_seconds > 3600" "10m"
              "no sweep for an hour: look at cc-ci-janitor.service"
            )
            (alert "CcCiTrouble" "delta(cc_ci_runs{verdict=\"trouble\"}[1h]) > 2" "0m"
              "several runs ended as trouble: look at cc-ci doctor"
            )
            (alert "CcCiDisk" "${health "docker_free_bytes"} < 5e9" "15m"
              "less than 5 GB for images and volumes"
            )
            (alert "CcCiInodes" "${health "docker_inodes_free"} < 100000" "15m"
              "few inodes are left for images and volumes"
            )
            (alert "CcCiAddresses" "${health "proxy_addresses_total"} - ${health "proxy_addresses_used"} < 64"
              "15m"
              "few addresses are left in the network proxy"
            )
            (alert "CcCiForge" "cc_ci_bridge_seconds_since_poll > 300" "5m"
              "the forge has not answered the bridge for five minutes"
            )
            (alert "CcCiQueue" "min_over_time(cc_ci_bridge_open[2h]) > 0" "2h"
              "the queue was never empty for two hours: a build may be stuck"
            )
          ];
        }
      ];
    };
    systemd.services = lib.genAttrs watched (_name: {
      inherit (cfg) onFailure;
    });
  };
}
