# Stand-ins for nixpkgs' packages and builders: listed by hand, so that a wrong name fails; nothing of it can be built.
{
  lib,
}:
let
  zeros = "00000000000000000000000000000000";
  drv =
    name: more:
    let
      out = "/nix/store/${zeros}-${name}";
      self = {
        type = "derivation";
        inherit name;
        pname = name;
        meta.mainProgram = name;
        outPath = out;
        drvPath = "${out}.drv";
        outputName = "out";
      }
      // more;
    in
    self;

  packages = lib.genAttrs [
    "abra"
    "age"
    "bash"
    "bubblewrap"
    "cargo"
    "chromium"
    "clippy"
    "coreutils"
    "curl"
    "docker"
    "drone-runner-exec"
    "findutils"
    "gawk"
    "git"
    "git-lfs"
    "gnugrep"
    "gnused"
    "gnutar"
    "gzip"
    "installShellFiles"
    "iproute2"
    "jq"
    "nixfmt"
    "openssh"
    "openssl"
    "procps"
    "restic"
    "rustc"
    "rustfmt"
    "sops"
    "util-linux"
    "util-linuxMinimal"
  ] (name: drv name { });

  # A file whose content can be read while evaluating: `value` or `text`.
  file = name: more: drv name more;
  format = {
    type =
      let
        inherit (lib) types;
        value =
          types.oneOf [
            types.bool
            types.int
            types.str
            types.path
            (types.attrsOf value)
            (types.listOf value)
          ]
          // {
            what = "a value of a configuration file";
          };
      in
      value;
    generate = name: value: file name { inherit value; };
  };
in
packages
// {
  lib = lib // {
    licenses.agpl3Plus = "AGPL-3.0-or-later";
    # Only that each named file is there.
    fileset.unions = paths: paths;
    fileset.toSource =
      { root, fileset }:
      assert builtins.all builtins.pathExists fileset;
      toString root;
  };
  formats = lib.genAttrs [ "toml" "json" "yaml" "ini" ] (_name: _options: format);
  writeText = name: text: file name { inherit text; };
  writeShellScript = name: text: file name { inherit text; };
  writeShellScriptBin = name: text: file name { inherit text; };
  writeShellApplication = { name, text, ... }: file name { inherit text; };
  runCommand =
    name: arguments: command:
    drv name { inherit arguments command; };
  stdenv.hostPlatform = {
    system = "x86_64-linux";
    isLinux = true;
  };
  rustPlatform.buildRustPackage =
    arguments:
    let
      # Its sources are looked at, so that a file which is not there is noticed.
      name = builtins.seq arguments.src "${arguments.pname}-${arguments.version}";
      base = drv name { inherit arguments; };
      outputs = arguments.outputs or [ "out" ];
    in
    base
    // lib.genAttrs outputs (
      output:
      base
      // {
        outPath = if output == "out" then base.outPath else "${base.outPath}-${output}";
        outputName = output;
      }
    );
  pkgsStatic.restic = drv "restic-static" { };
  pkgsStatic.rustPlatform.buildRustPackage =
    arguments: drv "${arguments.pname}-static-${arguments.version}" { inherit arguments; };
  dockerTools.buildImage =
    arguments: drv "docker-image-${arguments.name}.tar.gz" { inherit arguments; };
}
