# What no service of ours may do: one strict set, and for each service the settings that differ, with their reasons.
{ config, lib, ... }:
let
  strict = {
    NoNewPrivileges = true;
    CapabilityBoundingSet = "";
    AmbientCapabilities = "";
    ProtectSystem = "strict";
    ProtectHome = true;
    PrivateTmp = true;
    PrivateDevices = true;
    ProtectClock = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectControlGroups = true;
    ProtectProc = "invisible";
    ProcSubset = "pid";
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    RemoveIPC = true;
    SystemCallArchitectures = "native";
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources"
    ];
    SystemCallErrorNumber = "EPERM";
    UMask = "0077";
  };
  valueOf = relaxed: builtins.mapAttrs (_setting: one: one.value) relaxed;
  settings = unit: lib.filterAttrs (_setting: value: value != null) (strict // valueOf unit.relax);
in
{
  options.services.cc-ci.hardening = lib.mkOption {
    default = { };
    description = "Services that are laid under the strict set. Rooms fill this.";
    type = lib.types.attrsOf (
      lib.types.submodule {
        options.relax = lib.mkOption {
          default = { };
          description = "Settings of the strict set that this service has otherwise.";
          type = lib.types.attrsOf (
            lib.types.submodule {
              options = {
                value = lib.mkOption {
                  type = lib.types.nullOr lib.types.anything;
                  description = "What it has instead; null leaves the setting out.";
                };
                reason = lib.mkOption {
                  type = lib.types.nonEmptyStr;
                  description = "Why it cannot work with the strict value.";
                };
              };
            }
          );
        };
      }
    );
  };

  config.systemd.services = builtins.mapAttrs (_name: unit: {
    serviceConfig = settings unit;
  }) config.services.cc-ci.hardening;
}
