# The engine: Docker as a swarm of one node, the network that apps share with the proxy, and the ports of the world.
{ config, lib, ... }:
let
  cfg = config.services.cc-ci.swarm;
  server = config.services.cc-ci;
  port = address: lib.toInt (builtins.elemAt (builtins.match ".*:([0-9]+)" address) 0);
  # Containers reach the host by these alone: the proxy passes pages and hooks on.
  inner =
    lib.optional server.dashboard.enable (port server.dashboard.listen)
    ++ lib.optional server.bridge.enable (port server.bridge.listen);
in
{
  options.services.cc-ci.swarm = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = server.enable;
      defaultText = lib.literalExpression "config.services.cc-ci.enable";
      description = "Whether this host is a swarm of its own.";
    };
    proxySubnet = lib.mkOption {
      type = lib.types.strMatching "[0-9.]+/(1[6-9]|2[0-2])";
      default = "10.200.0.0/20";
      description = "Addresses of the network `proxy`; every task and service on it takes one. /22 or larger.";
    };
    addressPools = lib.mkOption {
      type = lib.types.listOf (lib.types.strMatching "[0-9.]+/[0-9]+");
      default = [ "10.201.0.0/16" ];
      description = "Where networks of apps get their addresses, a /24 each; nothing that this host reaches otherwise.";
    };
    gatewaySubnet = lib.mkOption {
      type = lib.types.strMatching "[0-9.]+\\.0/[0-9]+";
      default = "172.18.0.0/16";
      description = "Addresses of `docker_gwbridge`, by which containers reach this host.";
    };
    gateway = lib.mkOption {
      type = lib.types.str;
      default = "${builtins.head (builtins.match "(.*)\\.0/[0-9]+" cfg.gatewaySubnet)}.1";
      defaultText = lib.literalExpression "the first address of gatewaySubnet";
      description = "This host's own address there.";
    };
    preferOfflineImages = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether a task starts from an image that is here without asking the registry for its digest: for hosts without a way out.";
    };
    ports = lib.mkOption {
      type = lib.types.listOf lib.types.port;
      default = [
        80
        443
      ];
      description = "TCP ports that the world may reach.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = server.harness.enable;
        message = "services.cc-ci.swarm is made by the tools that runs have, and for them: set services.cc-ci.harness.enable = true, or swarm.enable = false.";
      }
      {
        assertion = !(lib.elem cfg.proxySubnet cfg.addressPools);
        message = "services.cc-ci.swarm.proxySubnet is one of addressPools, and apps would take the proxy's addresses: give each its own.";
      }
    ];
    services.cc-ci.activate.steps.swarm.settings = {
      inherit (server) zone;
      proxy_subnet = cfg.proxySubnet;
      gateway_subnet = cfg.gatewaySubnet;
      address_pools = cfg.addressPools;
      helper_image = "${server.packages.helperImage}";
    };

    virtualisation.docker = {
      enable = true;
      # A daemon with live restore refuses swarm mode.
      liveRestore = false;
      daemon.settings = {
        log-driver = "json-file";
        log-opts = {
          max-size = "10m";
          max-file = "3";
        };
      };
    };
    systemd.services.docker.environment = lib.optionalAttrs cfg.preferOfflineImages {
      DOCKER_SERVICE_PREFER_OFFLINE_IMAGE = "1";
    };

    networking.firewall = {
      enable = true;
      allowedTCPPorts = cfg.ports;
      interfaces.docker_gwbridge.allowedTCPPorts = inner;
    };
  };
}
