# The per-recipe test data that comes with the server.
{ pkgs }:
pkgs.runCommand "cc-ci-recipes" { } ''
  cp -r ${../recipes} $out
''
