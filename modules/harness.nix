# Where runs happen: the host's settings, the one set of tools, and what every program of a run is told.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.cc-ci.harness;
  server = config.services.cc-ci;
  folders = import ./folders.nix;
  program = lib.getExe' server.packages.cc-ci "cc-ci";
in
{
  options.services.cc-ci.harness = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = server.enable;
      defaultText = lib.literalExpression "config.services.cc-ci.enable";
      description = "Whether recipes are run on this host.";
    };
    tools = lib.mkOption {
      type = lib.types.listOf lib.types.package;
      default = [ ];
      description = "What runs, the sweep and a person's shell find on their PATH: the programs that cc-ci calls by name, and what is added here.";
    };
    environment = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      description = "Variables of every program that works on runs. Rooms fill this.";
    };
    settings = lib.mkOption {
      inherit (pkgs.formats.toml { }) type;
      default = { };
      example = lib.literalExpression ''{ limits.run = "90m"; keep.runs_per_recipe = 50; }'';
      description = "Keys of `settings.toml` (docs/operating.md); an unknown one fails the build.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = server.swarm.enable;
        message = "services.cc-ci.harness deploys on a swarm and has none: set services.cc-ci.swarm.enable = true.";
      }
      {
        assertion = !(cfg.settings ? zone) || cfg.settings.zone == server.zone;
        message = "services.cc-ci.harness.settings.zone is another zone than the server's: set services.cc-ci.zone alone.";
      }
      {
        assertion = (cfg.settings.deployer or "auto") != "abra" || server.packages.abra != null;
        message = "services.cc-ci.harness.settings.deployer is \"abra\" and there is none: set services.cc-ci.packages.abra, or deployer = \"native\".";
      }
    ];
    services.cc-ci = {
      harness = {
        settings = {
          inherit (server) zone;
          recipes = lib.mkDefault "${server.packages.recipes}";
        };
        environment = {
          CCCI_STATE_DIR = folders.state;
          CCCI_RUNS_DIR = folders.runs;
          CCCI_APP_LOCK_DIR = folders.locks;
          CCCI_SETTINGS = "/etc/cc-ci/settings.toml";
        };
        tools = [
          server.packages.cc-ci
          server.packages.janitor
          pkgs.bash
          pkgs.bubblewrap
          pkgs.chromium
          pkgs.coreutils
          pkgs.curl
          pkgs.docker
          pkgs.findutils
          pkgs.git
          pkgs.git-lfs
          pkgs.gnugrep
          pkgs.gnused
          pkgs.gnutar
          pkgs.gzip
          pkgs.jq
          pkgs.openssh
          pkgs.openssl
          pkgs.procps
          pkgs.util-linux
        ]
        ++ lib.optional (server.packages.abra != null) server.packages.abra;
      };
      configFiles."settings.toml" = {
        inherit (cfg) settings;
        check = "${program} check-config --config";
      };
    };
    users.users.cc-ci.extraGroups = [ "docker" ];
    environment.systemPackages = cfg.tools;
    environment.sessionVariables = cfg.environment;
  };
}
