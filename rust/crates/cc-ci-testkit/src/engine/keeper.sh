# Holds one private engine; runs in the engine's own network namespace, started by engine.rs.
#
#   bash keeper.sh FOLDER DATA CGROUP -- dockerd ARGUMENT...
#
# FOLDER/lock is held as long as anything of the engine lives. The daemon and everything it starts live in a process
# and a mount namespace whose first process is daemon.sh; when that ends, the kernel ends all of them and their mounts,
# and what is left are folders.
set -u
folder=$1 data=$2 cgroup=$3
shift 4

exec 9>"$folder/lock"
flock --wait 10 9 || exit 1
# Only the end of the input ends an engine; a handler, not an ignored signal, so that the daemon does not inherit it.
trap : TERM INT HUP

ip link set lo up
ip link add ccci0 type veth peer name ccci1
ip address add 192.0.2.1/24 dev ccci0
ip link set ccci0 up
ip link set ccci1 up

export FOLDER="$folder"
unshare --mount --pid --fork --kill-child=KILL --mount-proc --propagation private bash "$folder/daemon.sh" "$@"

rm -rf --one-file-system "$data"
for parent in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -d "$parent/$cgroup" ] && find "$parent/$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
done
rm -rf --one-file-system "$folder"
