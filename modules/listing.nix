# The rooms by name, for flakes that want one of them. Each needs `default`'s options, so all are listed with it.
let
  rooms = [
    "activate"
    "bridge"
    "config-files"
    "dashboard"
    "drone"
    "hardening"
    "harness"
    "janitor"
    "monitoring"
    "packages"
    "registry"
    "secrets"
    "swarm"
  ];
in
builtins.listToAttrs (
  map (name: {
    inherit name;
    value = ./. + "/${name}.nix";
  }) rooms
)
// {
  default = ./default.nix;
}
