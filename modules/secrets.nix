# Which secret there is, which unit gets it, and what notices a change. Values come by sops and never lie in the store.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.cc-ci.secrets;
  server = config.services.cc-ci;
  folders = import ./folders.nix;
  isDisturbed = unit: config.systemd.services.${unit}.restartIfChanged;
  units = lib.unique (lib.concatMap (list: list) (lib.attrValues cfg.readers));
  of = unit: lib.filter (name: lib.elem unit cfg.readers.${name}) (lib.attrNames cfg.readers);
  program = lib.getExe' server.packages.activate "cc-ci-activate";
in
{
  options.services.cc-ci.secrets = {
    file = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = lib.literalExpression "./secrets.yaml";
      description = "SOPS file with one key per secret; docs/secrets.md has the list.";
    };
    hostKey = lib.mkOption {
      type = lib.types.str;
      default = "/etc/ssh/ssh_host_ed25519_key";
      description = "Private SSH key of this host, one of the two that can decrypt the file.";
    };
    readers = lib.mkOption {
      type = lib.types.attrsOf (lib.types.listOf lib.types.str);
      default = { };
      description = "Secret by name, and the units that systemd hands it to as a credential of that name. Rooms fill this.";
    };
  };

  config = lib.mkIf (cfg.readers != { }) {
    assertions = [
      {
        assertion = cfg.file != null;
        message = "services.cc-ci.secrets.file is missing and ${lib.concatStringsSep ", " (lib.attrNames cfg.readers)} have to come from somewhere: write a SOPS file as docs/secrets.md says, add it to git, and name it.";
      }
      {
        assertion = !(lib.hasPrefix "/nix/store" cfg.hostKey);
        message = "services.cc-ci.secrets.hostKey lies in the store, where everybody can read it: write its path as a string, such as \"/etc/ssh/ssh_host_ed25519_key\".";
      }
      {
        assertion = config.services.openssh.enable or false;
        message = "services.openssh.enable is off, so nothing makes the host key that decrypts secrets: set it to true.";
      }
    ];

    sops = {
      defaultSopsFile = cfg.file;
      age.sshKeyPaths = [ cfg.hostKey ];
      secrets = builtins.mapAttrs (_name: readers: {
        mode = "0400";
        owner = "root";
        restartUnits = map (unit: "${unit}.service") (lib.filter isDisturbed readers);
      }) cfg.readers;
    };

    # Every secret is looked for, and decrypted, before a switch begins.
    system.preSwitchChecks.cc-ci-secrets = lib.concatStringsSep " " (
      [
        # A switch has no PATH to speak of, and age opens the data key.
        "PATH=${pkgs.age}/bin:$PATH"
        program
        "secrets"
        "check"
        "--file"
        "${cfg.file}"
        "--key"
        (lib.escapeShellArg cfg.hostKey)
      ]
      ++ lib.attrNames cfg.readers
    );

    systemd.services = lib.genAttrs units (unit: {
      serviceConfig.LoadCredential = map (name: "${name}:${folders.secrets}/${name}") (of unit);
    });
  };
}
