# The server to try on a laptop: runs recipes by hand and shows them; no forge, no Drone, no secret.
{ lib, ... }:
{
  services.cc-ci = {
    enable = true;
    zone = "ci.localhost";
    machine = "vm";
    # Both talk to a forge, and there is none.
    bridge.enable = false;
    drone.enable = false;
    dashboard.listen = "0.0.0.0:8380";
    harness.settings.via = "direct";
    swarm.ports = [ 8380 ];
  };

  networking.hostName = "vm";
  time.timeZone = "UTC";
  boot.loader.grub.device = "nodev";
  fileSystems."/" = {
    device = lib.mkDefault "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  # Whoever has the console has the machine.
  users.users.root.initialHashedPassword = "";
  services.getty.autologinUser = "root";
  # Only where `nix run .#vm` builds a virtual machine of this.
  virtualisation.vmVariant.virtualisation = {
    memorySize = 4096;
    diskSize = 16384;
    cores = 2;
    graphics = false;
    forwardPorts = [
      {
        from = "host";
        host.port = 8380;
        guest.port = 8380;
      }
    ];
  };
  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
  system.stateVersion = "26.05";
}
