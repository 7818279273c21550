# What a contributor needs: the toolchain, and what the checks of this repository call.
{ pkgs }:
{
  default = pkgs.mkShell {
    packages = [
      pkgs.bubblewrap
      pkgs.cargo
      pkgs.clippy
      pkgs.deadnix
      pkgs.git
      pkgs.go
      pkgs.jq
      pkgs.nixfmt
      pkgs.openssl
      pkgs.rustc
      pkgs.rustfmt
      pkgs.shellcheck
      pkgs.sops
    ];
  };
}
