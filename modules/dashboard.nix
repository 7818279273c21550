# The dashboard: read-only pages of run folders, on an inherited socket and without a network of its own.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.cc-ci.dashboard;
  server = config.services.cc-ci;
  folders = import ./folders.nix;
  file = server.configFiles."dashboard.toml".source;
  program = lib.getExe' server.packages.dashboard "cc-ci-dashboard";
in
{
  options.services.cc-ci.dashboard = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = server.enable;
      defaultText = lib.literalExpression "config.services.cc-ci.enable";
      description = "Whether this host shows its runs.";
    };
    listen = lib.mkOption {
      type = lib.types.str;
      default = "${server.swarm.gateway}:8380";
      defaultText = lib.literalExpression "\"\${config.services.cc-ci.swarm.gateway}:8380\"";
      description = "Address on which systemd listens for the dashboard.";
    };
    settings = lib.mkOption {
      inherit (pkgs.formats.toml { }) type;
      default = { };
      example = lib.literalExpression ''{ title = "recipes of example.org"; private = [ "billing" ]; }'';
      description = "Keys of `dashboard.toml` (docs/operating.md); an unknown one fails the build.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !(cfg.settings ? listen);
        message = "services.cc-ci.dashboard.settings.listen is not looked at beside a socket: set services.cc-ci.dashboard.listen instead.";
      }
    ];
    services.cc-ci = {
      dashboard.settings.recipes = lib.mkDefault "${server.packages.recipes}";
      configFiles."dashboard.toml" = {
        inherit (cfg) settings;
        check = "${program} check-config --config";
      };
      hardening.cc-ci-dashboard = { };
    };

    users.groups.cc-ci-dashboard = { };
    users.users.cc-ci-dashboard = {
      isSystemUser = true;
      group = "cc-ci-dashboard";
      description = "dashboard of cc-ci";
    };

    systemd.sockets.cc-ci-dashboard = {
      description = "pages of cc-ci";
      wantedBy = [ "sockets.target" ];
      listenStreams = [ cfg.listen ];
      # The address may belong to a network of Docker, which comes later.
      socketConfig.FreeBind = true;
    };

    systemd.services.cc-ci-dashboard = {
      description = "dashboard of cc-ci";
      requires = [ "cc-ci-dashboard.socket" ];
      after = [ "cc-ci-dashboard.socket" ];
      environment.CCCI_STATE_DIR = folders.state;
      environment.CCCI_RUNS_DIR = folders.runs;
      serviceConfig = {
        ExecStart = "${program} serve --config ${file}";
        User = "cc-ci-dashboard";
        Group = "cc-ci-dashboard";
        # Run folders belong to the group of runs.
        SupplementaryGroups = [ "cc-ci" ];
        Restart = "on-failure";
        RestartSec = "5s";
        ReadOnlyPaths = [ folders.state ];
        PrivateUsers = true;
        # The socket is inherited; all else would be one thing more that can be asked.
        PrivateNetwork = true;
        IPAddressDeny = "any";
        RestrictAddressFamilies = [ "AF_UNIX" ];
        MemoryMax = "512M";
        TasksMax = 64;
      };
    };
  };
}
