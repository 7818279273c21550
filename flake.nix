{
  description = "CI server for Co-op Cloud recipes: nixos-rebuild switch gives all of it";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    sops-nix.url = "github:Mic92/sops-nix";
    sops-nix.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    {
      self,
      nixpkgs,
      sops-nix,
    }:
    let
      inherit (nixpkgs) lib;
      forSystems =
        f:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: f nixpkgs.legacyPackages.${system});
      host =
        module:
        lib.nixosSystem {
          system = "x86_64-linux";
          modules = [
            self.nixosModules.default
            sops-nix.nixosModules.sops
            module
          ];
        };
    in
    {
      packages = forSystems (pkgs: import ./pkgs { inherit pkgs; });
      nixosModules = import ./modules/listing.nix;
      nixosConfigurations = {
        ci = host ./hosts/ci;
        vm = host ./hosts/vm;
      };
      checks = forSystems (
        pkgs:
        import ./pkgs { inherit pkgs; }
        // lib.optionalAttrs (pkgs.stdenv.hostPlatform.system == "x86_64-linux") {
          ci = self.nixosConfigurations.ci.config.system.build.toplevel;
        }
      );
      formatter = forSystems (pkgs: pkgs.nixfmt-tree);
      devShells = forSystems (pkgs: import ./pkgs/shell.nix { inherit pkgs; });
      apps = forSystems (
        pkgs:
        let
          program = package: name: {
            type = "app";
            program = lib.getExe' package name;
          };
        in
        {
          default = program self.packages.${pkgs.stdenv.hostPlatform.system}.cc-ci "cc-ci";
          vm = program self.nixosConfigurations.vm.config.system.build.vm "run-vm-vm";
        }
      );
    };
}
