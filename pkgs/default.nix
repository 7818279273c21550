# Every package of this flake: one per program, what runs need beside them, and abra as nixpkgs has it.
{ pkgs }:
let
  programs = import ./programs.nix { inherit pkgs; };
in
{
  default = programs.out;
  cc-ci = programs.out;
  cc-ci-bridge = programs.bridge;
  cc-ci-dashboard = programs.dashboard;
  cc-ci-janitor = programs.janitor;
  cc-ci-activate = programs.activate;
  helper-image = import ./helper-image.nix { inherit pkgs; };
  recipes = import ./recipes.nix { inherit pkgs; };
}
