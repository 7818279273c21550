# The bridge: a comment in, a build started, a verdict out. It has both tokens and never Docker.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.cc-ci.bridge;
  server = config.services.cc-ci;
  folders = import ./folders.nix;
  file = server.configFiles."bridge.toml".source;
  program = lib.getExe' server.packages.bridge "cc-ci-bridge";
in
{
  options.services.cc-ci.bridge = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = server.enable;
      defaultText = lib.literalExpression "config.services.cc-ci.enable";
      description = "Whether this host watches the forge.";
    };
    listen = lib.mkOption {
      type = lib.types.str;
      default = "${server.swarm.gateway}:8091";
      defaultText = lib.literalExpression "\"\${config.services.cc-ci.swarm.gateway}:8091\"";
      description = "Address of `/hook`, `/healthz` and `/metrics`, on which systemd listens in the bridge's stead.";
    };
    webhook = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether the forge calls `/hook`; needs the secret `webhook-secret`. Polling goes on all the same.";
    };
    settings = lib.mkOption {
      inherit (pkgs.formats.toml { }) type;
      default = { };
      example = lib.literalExpression ''
        {
          gitea = "https://git.example.org";
          drone = "https://drone.ci.example.org";
          organisations = [ "recipes" ];
          pipeline = "cc-ci/cc-ci";
        }
      '';
      description = "Keys of `bridge.toml` (docs/bridge.md); an unknown one fails the build.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = builtins.all (key: cfg.settings ? ${key}) [
          "gitea"
          "drone"
          "organisations"
          "pipeline"
        ];
        message = "services.cc-ci.bridge.settings lacks one of gitea, drone, organisations, pipeline: set all four, as docs/bridge.md shows.";
      }
      {
        assertion = !(cfg.settings ? listen);
        message = "services.cc-ci.bridge.settings.listen would open a second socket: set services.cc-ci.bridge.listen instead.";
      }
      {
        assertion =
          !(builtins.any (key: cfg.settings ? ${key}) [
            "gitea_token_file"
            "drone_token_file"
            "webhook_secret_file"
          ]);
        message = "services.cc-ci.bridge.settings names a token's file: leave it out, the unit hands tokens over as credentials (services.cc-ci.secrets).";
      }
    ];
    services.cc-ci = {
      bridge.settings.pages = lib.mkDefault "https://${server.zone}";
      configFiles."bridge.toml" = {
        inherit (cfg) settings;
        check = "${program} check-config --config";
      };
      secrets.readers = lib.genAttrs (
        [
          "gitea-token"
          "drone-token"
        ]
        ++ lib.optional cfg.webhook "webhook-secret"
      ) (_name: [ "cc-ci-bridge" ]);
      hardening.cc-ci-bridge.relax.UMask = {
        value = "0027";
        reason = "the dashboard reads its queue, and runs its cancel files, by group cc-ci";
      };
    };

    users.users.cc-ci-bridge = {
      isSystemUser = true;
      group = "cc-ci";
      description = "bridge of cc-ci";
    };

    systemd.sockets.cc-ci-bridge = {
      description = "hooks and health of the bridge of cc-ci";
      wantedBy = [ "sockets.target" ];
      listenStreams = [ cfg.listen ];
      # The address may belong to a network of Docker, which comes later.
      socketConfig.FreeBind = true;
    };

    systemd.services.cc-ci-bridge = {
      description = "bridge of cc-ci: comment in, verdict out";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      requires = [ "cc-ci-bridge.socket" ];
      after = [
        "cc-ci-bridge.socket"
        "network-online.target"
      ];
      # It asks for a minute who it is; then it is started anew, without end.
      startLimitIntervalSec = 0;
      environment.CCCI_STATE_DIR = folders.state;
      environment.CCCI_APP_LOCK_DIR = folders.locks;
      serviceConfig = {
        Type = "notify";
        ExecStart = "${program} serve --config ${file}";
        User = "cc-ci-bridge";
        Group = "cc-ci";
        Restart = "always";
        RestartSec = "5s";
        WatchdogSec = "5min";
        # Open intents are files, so a stop loses nothing; this is for a request that is under way.
        KillMode = "mixed";
        TimeoutStopSec = "60s";
        StateDirectory = "cc-ci/bridge";
        StateDirectoryMode = "2750";
        ReadWritePaths = [
          folders.cancel
          folders.imported
        ];
        PrivateUsers = true;
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
        ];
      };
    };
  };
}
