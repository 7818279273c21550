# Where the programs of one host meet. Fixed: whoever wants another disk mounts it there.
{
  state = "/var/lib/cc-ci";
  runs = "/var/lib/cc-ci/runs";
  locks = "/run/lock/cc-ci";
  cancel = "/var/lib/cc-ci/cancel";
  imported = "/var/lib/cc-ci/imported";
  # What sops-nix decrypts into.
  secrets = "/run/secrets";
}
