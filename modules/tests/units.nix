# The text of units, rendered as NixOS renders it, so that the real one can be compared byte for byte.
{ lib }:
let
  inherit (builtins) isBool isList toString;
  word = value: if isBool value then (if value then "true" else "false") else toString value;
  line = key: value: "${key}=${word value}\n";
  section =
    set:
    lib.concatStringsSep "" (
      lib.mapAttrsToList (
        key: value: if isList value then lib.concatMapStringsSep "" (line key) value else line key value
      ) (lib.filterAttrs (_key: value: value != null) set)
    );
  names =
    unit: key: name:
    lib.optionalAttrs (unit.${key} != [ ]) { ${name} = lib.concatStringsSep " " unit.${key}; };
  head =
    unit:
    section (
      names unit "after" "After"
      // names unit "before" "Before"
      // names unit "requires" "Requires"
      // names unit "wants" "Wants"
      // names unit "bindsTo" "BindsTo"
      // names unit "partOf" "PartOf"
      // names unit "conflicts" "Conflicts"
      // names unit "onFailure" "OnFailure"
      // names unit "documentation" "Documentation"
      // lib.optionalAttrs (unit.description != "") { Description = unit.description; }
      // lib.optionalAttrs (unit.startLimitIntervalSec != null) {
        StartLimitIntervalSec = unit.startLimitIntervalSec;
      }
      // lib.optionalAttrs (unit.startLimitBurst != null) { StartLimitBurst = unit.startLimitBurst; }
      // lib.optionalAttrs (unit.restartTriggers != [ ]) {
        X-Restart-Triggers = lib.concatMapStringsSep " " toString unit.restartTriggers;
      }
      // unit.unitConfig
    );
  install =
    unit:
    lib.optionalString (unit.wantedBy != [ ] || unit.requiredBy != [ ]) (
      "\n[Install]\n" + section (names unit "requiredBy" "RequiredBy" // names unit "wantedBy" "WantedBy")
    );
  environment =
    unit:
    lib.concatStringsSep "" (
      lib.mapAttrsToList (key: value: "Environment=\"${key}=${value}\"\n") (
        lib.filterAttrs (_key: value: value != null) unit.environment
      )
    );
  whole = unit: body: "[Unit]\n${head unit}\n${body}${install unit}";
  path =
    unit:
    lib.optionalString (unit.path != [ ]) (
      "Environment=\"PATH=${lib.concatMapStringsSep ":" (package: "${package}/bin") unit.path}\"\n"
    );
in
{
  service =
    unit:
    whole unit (
      "[Service]\n"
      + environment unit
      + path unit
      + (
        if unit.reloadIfChanged then
          "X-ReloadIfChanged=true\n"
        else
          lib.optionalString (!unit.restartIfChanged) "X-RestartIfChanged=false\n"
      )
      + lib.optionalString (!unit.stopIfChanged) "X-StopIfChanged=false\n"
      + section unit.serviceConfig
    );
  socket =
    unit:
    whole unit (
      "[Socket]\n"
      + section unit.socketConfig
      + lib.concatMapStringsSep "" (line "ListenStream") unit.listenStreams
      + lib.concatMapStringsSep "" (line "ListenDatagram") unit.listenDatagrams
    );
  timer = unit: whole unit ("[Timer]\n" + section unit.timerConfig);
  path = unit: whole unit ("[Path]\n" + section unit.pathConfig);
}
