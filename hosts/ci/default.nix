# The live machine: its disk, its names, its people. Replace every value of it with your own.
{ lib, ... }:
{
  services.cc-ci = {
    enable = true;
    zone = "ci.example.org";
    machine = "ci";
    secrets.file = ../../secrets/ci.yaml;
    registry.enable = true;
    drone = {
      server = "https://drone.example.org";
      capacity = 2;
    };
    bridge = {
      webhook = true;
      settings = {
        gitea = "https://git.example.org";
        drone = "https://drone.example.org";
        organisations = [ "recipes" ];
        pipeline = "cc-ci/cc-ci";
      };
    };
  };

  networking.hostName = "ci";
  time.timeZone = "UTC";
  boot.loader.grub.device = "/dev/disk/by-id/virtio-ci-root";
  boot.initrd.availableKernelModules = [
    "virtio_pci"
    "virtio_blk"
    "virtio_scsi"
  ];
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  services.openssh = {
    enable = true;
    settings.PasswordAuthentication = false;
  };
  # Yours, or nobody gets in.
  users.users.root.openssh.authorizedKeys.keys = [ ];
  # The only program of this server that is not free software; without the exception nothing is built.
  nixpkgs.config.allowUnfreePredicate = package: (package.pname or "") == "drone-runner-exec";
  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
  system.stateVersion = "26.05";
}
