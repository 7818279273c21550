# What `systemd-analyze verify` is silent about: each rule looks at the evaluated values and answers with sentences.
{ config, lib }:
let
  inherit (config.systemd) services sockets timers;
  ours = lib.filterAttrs (name: unit: lib.hasPrefix "cc-ci" name && unit.enable);
  forEach = f: set: lib.concatMap (name: f name set.${name}) (lib.attrNames set);
  listOf = value: if builtins.isList value then value else [ value ];
  say = condition: sentence: lib.optional (!condition) sentence;

  # Units of NixOS that ours may name.
  known = [
    "docker.service"
    "multi-user.target"
    "network-online.target"
    "sockets.target"
    "timers.target"
  ];
  made = kind: set: map (name: "${name}.${kind}") (lib.attrNames (ours set));
  units = known ++ made "service" services ++ made "socket" sockets ++ made "timer" timers;
  named =
    unit:
    unit.after
    ++ unit.before
    ++ unit.requires
    ++ unit.wants
    ++ unit.bindsTo
    ++ unit.partOf
    ++ unit.wantedBy
    ++ unit.requiredBy
    ++ lib.filter (other: lib.hasPrefix "cc-ci" other) unit.onFailure;
  exists = where: other: say (lib.elem other units) "${where}: there is no unit ${other}";

  users = lib.attrNames (config.users.users or { }) ++ [ "root" ];
  groups = lib.attrNames (config.users.groups or { }) ++ [
    "docker"
    "root"
  ];

  # The file's keys are not encrypted.
  keys =
    let
      lines = lib.filter builtins.isString (
        builtins.split "\n" (builtins.readFile config.sops.defaultSopsFile)
      );
      key = line: builtins.match "([A-Za-z0-9_.-]+):.*" line;
    in
    if config.sops.defaultSopsFile == null then
      [ ]
    else
      map (line: builtins.head (key line)) (lib.filter (line: key line != null) lines);

  credentials =
    unit: map (line: builtins.match "([^:]+):(.+)" line) (unit.serviceConfig.LoadCredential or [ ]);

  # Written a second time on purpose: what no service may do, whoever edits modules/hardening.nix.
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
  # The settings that a service may have otherwise; each has its reason in its module.
  relaxed = {
    cc-ci-bridge = [ "UMask" ];
    cc-ci-dashboard = [ ];
    cc-ci-janitor = [
      "ProcSubset"
      "UMask"
    ];
    cc-ci-runner = [
      "MemoryDenyWriteExecute"
      "PrivateDevices"
      "PrivateTmp"
      "ProcSubset"
      "ProtectKernelLogs"
      "ProtectKernelTunables"
      "ProtectProc"
      "ProtectSystem"
      "RestrictNamespaces"
      "SystemCallErrorNumber"
      "SystemCallFilter"
      "UMask"
    ];
  };
  mayDiffer = name: relaxed.${name} or [ ];

  # What each program may and may not have; `docker` is as good as root.
  rights = {
    cc-ci-bridge = {
      docker = false;
      credentials = [
        "drone-token"
        "gitea-token"
        "webhook-secret"
      ];
      writes = [
        "/var/lib/cc-ci/cancel"
        "/var/lib/cc-ci/imported"
      ];
      families = [
        "AF_UNIX"
        "AF_INET"
        "AF_INET6"
      ];
    };
    cc-ci-dashboard = {
      docker = false;
      credentials = [ ];
      writes = [ ];
      families = [ "AF_UNIX" ];
    };
    cc-ci-janitor = {
      docker = true;
      credentials = [ ];
      writes = [
        "/var/lib/cc-ci"
        "/run/lock/cc-ci"
      ];
      families = [ "AF_UNIX" ];
    };
    cc-ci-runner = {
      docker = true;
      credentials = [
        "config.json"
        "drone-runner-env"
      ];
      writes = [
        "/var/lib/cc-ci"
        "/run/lock/cc-ci"
      ];
      families = [
        "AF_UNIX"
        "AF_INET"
        "AF_INET6"
        "AF_NETLINK"
      ];
    };
  };
  activate = {
    docker = true;
    credentials = [
      "ssl_cert"
      "ssl_key"
    ];
    writes = [ ];
    families = [
      "AF_UNIX"
      "AF_INET"
      "AF_INET6"
    ];
  };
  rightsOf = name: if lib.hasPrefix "cc-ci-activate-" name then activate else rights.${name} or null;
  within = allowed: found: builtins.all (one: lib.elem one allowed) found;
  people =
    name: unit:
    let
      user = unit.serviceConfig.User or "root";
    in
    listOf (unit.serviceConfig.SupplementaryGroups or [ ])
    ++ [ (unit.serviceConfig.Group or "root") ]
    ++ lib.optionals (config.users.users ? ${user}) (
      (config.users.users.${user}.extraGroups or [ ])
      ++ lib.optional (config.users.users.${user} ? group) config.users.users.${user}.group
    )
    ++ lib.optional (name == "") "";
in
lib.concatMap (list: list) [
  (forEach (name: unit: lib.concatMap (exists "${name}.service") (named unit)) (ours services))
  (forEach (name: unit: lib.concatMap (exists "${name}.socket") (named unit)) (ours sockets))
  (forEach (name: unit: lib.concatMap (exists "${name}.timer") (named unit)) (ours timers))
  (forEach (
    name: unit:
    lib.concatMap (
      other:
      say (
        builtins.match ".+\\.(service|socket|timer|target|path)" other != null
      ) "${name}.service: ${other} has no suffix"
    ) (named unit ++ unit.onFailure)
  ) (ours services))
  (forEach (name: _unit: say (services ? ${name}) "${name}.timer has no service") (ours timers))
  (forEach (name: _unit: say (services ? ${name}) "${name}.socket has no service") (ours sockets))
  (forEach (
    name: unit:
    say (lib.elem (unit.serviceConfig.User or "-") users) "${name}: its User is not declared"
    ++ say ((unit.serviceConfig.User or "root") != "root") "${name}: runs as root"
    ++ lib.concatMap (group: say (lib.elem group groups) "${name}: there is no group ${group}") (
      listOf (unit.serviceConfig.SupplementaryGroups or [ ]) ++ [ (unit.serviceConfig.Group or "-") ]
    )
  ) (ours services))
  (forEach (
    name: user:
    say (
      !(user.isSystemUser or false) || lib.elem (user.group or "-") groups
    ) "user ${name} has no group"
  ) (config.users.users or { }))
  # Credentials: declared, and the file has them.
  (forEach (
    name: unit:
    lib.concatMap (
      parts:
      if parts == null then
        [ "${name}: a credential has no path" ]
      else
        let
          credential = builtins.head parts;
          path = builtins.elemAt parts 1;
          secret = config.sops.secrets.${credential} or null;
        in
        say (secret != null) "${name}: the credential ${credential} is no declared secret"
        ++ say (
          secret == null || secret.path == path
        ) "${name}: the credential ${credential} is read from ${path}, and sops writes elsewhere"
        ++ say (
          secret == null || !unit.restartIfChanged || lib.elem "${name}.service" secret.restartUnits
        ) "${name} is not restarted when ${credential} changes"
    ) (credentials unit)
  ) (ours services))
  (forEach (
    name: secret:
    say (lib.elem name keys) "the secret ${name} is no key of ${toString config.sops.defaultSopsFile}"
    ++ say (secret.mode == "0400") "the secret ${name} has mode ${secret.mode}"
    ++ say (secret.owner == "root") "the secret ${name} does not belong to root"
    ++ say (builtins.any (unit: lib.elem name (map builtins.head (credentials unit))) (
      lib.attrValues (ours services)
    )) "nobody reads the secret ${name}"
    ++ lib.concatMap (exists "the secret ${name}") secret.restartUnits
  ) config.sops.secrets)
  # Hardening: the set, or a reason that is known here too.
  (forEach (
    name: unit:
    forEach (
      setting: value:
      say (lib.elem setting (mayDiffer name) || (unit.serviceConfig.${setting} or null) == value)
        "${name}: ${setting} is ${
          builtins.toJSON (unit.serviceConfig.${setting} or null)
        }, and no reason for it is known to modules/tests/complaints.nix"
    ) strict
  ) (ours services))
  (forEach (
    name: unit:
    forEach (
      setting: one:
      say (lib.elem setting (mayDiffer name)) "${name}: ${setting} is relaxed (${one.reason}), which modules/tests/complaints.nix does not expect"
    ) unit.relax
  ) config.services.cc-ci.hardening)
  # Rights are apart.
  (forEach (
    name: unit:
    let
      right = rightsOf name;
      service = unit.serviceConfig;
    in
    if right == null then
      [ "${name}: modules/tests/complaints.nix does not say what it may" ]
    else
      say (right.docker || !(lib.elem "docker" (people name unit))) "${name} is in group docker"
      ++ say (!right.docker || lib.elem "docker" (people name unit)) "${name} cannot reach Docker"
      ++ say (within right.credentials (map builtins.head (credentials unit))) "${name} has a credential that it may not have"
      ++ say (within right.writes (
        listOf (service.ReadWritePaths or [ ])
      )) "${name} may write where it must not"
      ++ say (
        service.RestrictAddressFamilies or [ ] == right.families
      ) "${name} has other address families than it may"
      ++ say (
        lib.elem "AF_INET" right.families || (service.PrivateNetwork or false)
      ) "${name} has a network"
      ++ say (
        lib.elem "AF_INET" right.families || (service.IPAddressDeny or "") == "any"
      ) "${name} may send packets"
      ++ say (
        name == "cc-ci-runner" || (service.PrivateUsers or false)
      ) "${name} sees the users of the host"
      ++ say (unit.path == [ ] || right.docker) "${name} has programs on its PATH"
  ) (ours services))
  # One set of tools.
  (forEach (
    name: unit:
    say (
      unit.path == [ ] || map toString unit.path == map toString config.services.cc-ci.harness.tools
    ) "${name} has other tools than runs have"
  ) (ours services))
  (say (
    map toString config.services.cc-ci.harness.tools == [ ]
    || within (map toString (config.environment.systemPackages or [ ])) (
      map toString config.services.cc-ci.harness.tools
    )
  ) "a person's shell has fewer tools than runs have")
  (say (
    !(services ? cc-ci-runner) || !services.cc-ci-runner.restartIfChanged
  ) "a switch would restart cc-ci-runner under its runs")
  (say (
    !(config.services.cc-ci.swarm.enable) || !config.virtualisation.docker.liveRestore
  ) "Docker with live restore refuses swarm mode")
  (say (!config.virtualisation.docker.autoPrune.enable) "Docker prunes by itself, also under runs")
  (say (
    !(config.services.cc-ci.enable) || (config.environment.etc or { }) ? timezone
  ) "/etc/timezone is missing, which recipes bind")
]
