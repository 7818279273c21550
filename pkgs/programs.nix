# The programs: one build of the workspace, one output each, so that a host takes only what it runs.
{ pkgs }:
let
  inherit (pkgs) lib;
  others = [
    "activate"
    "bridge"
    "dashboard"
    "janitor"
  ];
  flags = lib.concatMap (name: [
    "--package"
    "cc-ci-${name}"
  ]) others;
in
pkgs.rustPlatform.buildRustPackage {
  pname = "cc-ci";
  version = "0.1.0";
  src = import ./source.nix { inherit lib; };
  sourceRoot = "source/rust";
  cargoLock.lockFile = ../rust/Cargo.lock;
  cargoBuildFlags = [
    "--package"
    "cc-ci"
  ]
  ++ flags;
  # Tests want engines and servers: `cargo xtask test` has them. What is pure is tested here.
  cargoTestFlags = [
    "--package"
    "cc-ci-model"
    "--lib"
  ];
  nativeBuildInputs = [ pkgs.installShellFiles ];
  outputs = [ "out" ] ++ others;
  postInstall = ''
    ${lib.concatMapStringsSep "\n" (name: ''
      mkdir -p ''$${name}/bin
      mv $out/bin/cc-ci-${name} ''$${name}/bin/
    '') others}
    $out/bin/cc-ci man man
    installManPage man/*
    for shell in bash zsh fish; do $out/bin/cc-ci completions $shell > cc-ci.$shell; done
    installShellCompletion cc-ci.{bash,fish} --zsh --name _cc-ci cc-ci.zsh
  '';
  meta = {
    description = "CI server for Co-op Cloud recipes";
    license = lib.licenses.agpl3Plus;
    mainProgram = "cc-ci";
  };
}
