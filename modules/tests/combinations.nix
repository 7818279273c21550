# The hosts that have to be good, and the mistakes of an operator that have to be refused with a sentence that helps.
{ lib }:
let
  ci = ../../hosts/ci;
  vm = ../../hosts/vm;
  with' = host: more: [
    host
    more
  ];
  set = more: with' ci { services.cc-ci = more; };
  wrong = words: modules: { inherit words modules; };
in
{
  good = {
    ci = [ ci ];
    vm = [ vm ];
    nothing = [
      {
        services.cc-ci.enable = false;
        services.cc-ci.zone = "ci.example.org";
        services.cc-ci.machine = "nothing";
      }
    ];
    without-a-hook = set { bridge.webhook = lib.mkForce false; };
    without-a-login = set { registry.enable = lib.mkForce false; };
    without-a-bridge = set {
      bridge.enable = false;
      drone.repositories = [ "cc-ci/cc-ci" ];
    };
    without-a-dashboard = set { dashboard.enable = false; };
    without-monitoring = set { monitoring.enable = false; };
    without-abra = set { packages.abra = null; };
    offline = set { swarm.preferOfflineImages = true; };
    eight-at-once = set { drone.capacity = lib.mkForce 8; };
    only-pages = with' vm {
      services.cc-ci = {
        harness.enable = false;
        janitor.enable = false;
        swarm.enable = false;
      };
    };
    # What modules/tests/boot starts under a real systemd.
    on-loopback = set {
      bridge = {
        listen = "127.0.0.1:8091";
        settings.gitea = lib.mkForce "http://127.0.0.1:3000";
        settings.drone = lib.mkForce "http://127.0.0.1:3000";
      };
      dashboard.listen = "127.0.0.1:8380";
    };
    alerted = set { monitoring.onFailure = [ "mail-root@%n.service" ]; };
  };

  refused = {
    another-machine = wrong "choose the attribute of this very machine" (
      with' ci { networking.hostName = lib.mkForce "laptop"; }
    );
    a-disk-by-number = wrong "name it by /dev/disk/by-uuid" (
      with' ci { fileSystems."/" = lib.mkForce { device = "/dev/sda1"; }; }
    );
    no-forge = wrong "set all four" (set {
      bridge.settings = lib.mkForce { drone = "https://drone.example.org"; };
    });
    a-second-socket = wrong "set services.cc-ci.bridge.listen instead" (set {
      bridge.settings.listen = "127.0.0.1:1";
    });
    a-token-in-a-file = wrong "the unit hands tokens over as credentials" (set {
      bridge.settings.gitea_token_file = "/etc/token";
    });
    a-listener-in-the-settings = wrong "set services.cc-ci.dashboard.listen instead" (set {
      dashboard.settings.listen = "127.0.0.1:1";
    });
    a-janitor-without-runs = wrong "or janitor.enable = false" (
      with' vm { services.cc-ci.harness.enable = false; }
    );
    runs-without-a-swarm = wrong "set services.cc-ci.swarm.enable = true" (set {
      swarm.enable = false;
    });
    a-swarm-for-nobody = wrong "or swarm.enable = false" (
      with' vm {
        services.cc-ci.harness.enable = false;
        services.cc-ci.janitor.enable = false;
      }
    );
    a-second-zone = wrong "set services.cc-ci.zone alone" (set {
      harness.settings.zone = lib.mkForce "other.example.org";
    });
    abra-without-abra = wrong "set services.cc-ci.packages.abra" (set {
      packages.abra = null;
      harness.settings.deployer = "abra";
    });
    a-runner-without-runs = wrong "takes builds that call cc-ci" (set {
      harness.enable = false;
      janitor.enable = false;
    });
    a-runner-for-everybody = wrong "name the pipeline's" (set {
      drone.repositories = [ ];
    });
    no-secrets = wrong "write a SOPS file" (set {
      secrets.file = lib.mkForce null;
    });
    a-key-in-the-store = wrong "write its path as a string" (set {
      secrets.hostKey = "/nix/store/00000000000000000000000000000000-key";
    });
    no-host-key = wrong "nothing makes the host key" (
      with' ci { services.openssh.enable = lib.mkForce false; }
    );
    addresses-taken-twice = wrong "give each its own" (set {
      swarm.proxySubnet = "10.9.0.0/20";
      swarm.addressPools = [ "10.9.0.0/20" ];
    });
    a-login-for-nobody = wrong "or registry.enable = false" (set {
      drone.enable = false;
    });
  };
}
