# The login that every pull of an image uses.
{ config, lib, ... }:
let
  server = config.services.cc-ci;
in
{
  options.services.cc-ci.registry.enable = lib.mkOption {
    type = lib.types.bool;
    default = false;
    description = "Whether pulls use the login of the secret `config.json`, which has the form of Docker's own file: registries limit those without (docs/secrets.md).";
  };

  config = lib.mkIf server.registry.enable {
    assertions = [
      {
        assertion = server.drone.enable;
        message = "services.cc-ci.registry hands a login to the runner, and there is none: set services.cc-ci.drone.enable = true, or registry.enable = false.";
      }
    ];
    # Docker's client looks for this very name in DOCKER_CONFIG, which is the folder of credentials.
    services.cc-ci.secrets.readers."config.json" = [ "cc-ci-runner" ];
  };
}
