# The first process in a private engine's process and mount namespace, started by keeper.sh.
#
#   FOLDER=... bash daemon.sh dockerd ARGUMENT...
#
# It reads words from standard input: TERM and KILL end the daemon and START starts it again; REGISTRY starts the
# registry of FOLDER/registry.yml and NO-REGISTRY ends it. The end of the input is the end of everything; it comes when
# the owner closes it or dies, by whatever signal. bash, because it buries orphans while it waits for a word.
set -u

# Sockets that containerd keeps outside its own folders (containerd 1.6, pkg/shim: /run/containerd/s).
mkdir -p /run/containerd /run/docker
mount -t tmpfs tmpfs /run/containerd
mount -t tmpfs tmpfs /run/docker
start() {
    rm -f "$FOLDER/docker.pid"
    "$@" >>"$FOLDER/dockerd.log" 2>&1 </dev/null 9>&- &
    daemon=$!
    echo "running" >"$FOLDER/daemon"
}
start "$@"
while read -r word; do
    case $word in
    TERM | KILL)
        kill -"$word" "$daemon"
        wait "$daemon"
        echo "ended" >"$FOLDER/daemon"
        ;;
    START) start "$@" ;;
    REGISTRY)
        docker-registry serve "$FOLDER/registry.yml" >>"$FOLDER/registry.log" 2>&1 </dev/null &
        registry=$!
        ;;
    NO-REGISTRY)
        kill -KILL "$registry"
        wait "$registry"
        ;;
    esac
done
