# The programs' configuration files: written from settings, and read by the program itself before the build is good.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  toml = pkgs.formats.toml { };
  checked =
    name: file:
    let
      written = toml.generate name file.settings;
    in
    pkgs.runCommand "checked-${name}" { inherit (file) check; } ''
      $check ${written}
      cp ${written} $out
    '';
in
{
  options.services.cc-ci.configFiles = lib.mkOption {
    default = { };
    description = "Files below /etc/cc-ci, by name. Rooms fill this; operators set the rooms' `settings`.";
    type = lib.types.attrsOf (
      lib.types.submodule (
        { name, config, ... }:
        {
          options = {
            settings = lib.mkOption {
              inherit (toml) type;
              description = "What the file says.";
            };
            check = lib.mkOption {
              type = lib.types.str;
              description = "Command that reads a file, named as its last argument, and fails where a setting is wrong.";
            };
            source = lib.mkOption {
              type = lib.types.package;
              default = checked name config;
              defaultText = lib.literalExpression "the checked file";
              description = "The file after its program has accepted it.";
            };
          };
        }
      )
    );
  };

  config.environment.etc = lib.mapAttrs' (
    name: file: lib.nameValuePair "cc-ci/${name}" { inherit (file) source; }
  ) config.services.cc-ci.configFiles;
}
