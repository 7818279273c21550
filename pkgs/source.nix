# The sources of the workspace alone, so that an edit in docs/ or modules/ rebuilds nothing.
{ lib }:
lib.fileset.toSource {
  root = ../.;
  fileset = lib.fileset.unions [
    ../rust/Cargo.toml
    ../rust/Cargo.lock
    ../rust/clippy.toml
    ../rust/rustfmt.toml
    ../rust/crates
    ../rust/xtask
    # Programs are built with the test data of recipes in sight.
    ../recipes
  ];
}
