# What script.sh and floor.sh share: the names, the clock, and the work itself. Whoever sources it decides how to wait.
#
#   NAME.sh STACK BASE HEAD WINDOW HELPER
#
# BASE and HEAD are folders with the recipe's files, WINDOW the seconds for which a deploy has to stand, HELPER an image
# with restic. Prints `step NAME SECONDS` after each step.
set -euo pipefail
stack=$1 base=$2 head=$3 window=$4 helper=$5
service=${stack}_app
secret=${stack}_site_token_v1
label=label=com.docker.stack.namespace=$stack
page=/usr/share/nginx/html/page.txt

begin=$(date +%s.%N)
step() {
    local end
    end=$(date +%s.%N)
    echo "step $1 $(awk "BEGIN { print $end - $begin }")"
    begin=$end
}

fail() {
    echo "$*" >&2
    exit 1
}

make_secret() {
    head -c 32 /dev/urandom | base64 | docker secret create "$secret" - >/dev/null
}

deploy() (
    cd "$1"
    set -a
    . ./abra.sh
    export STACK_NAME=$stack DOMAIN=$stack.test LETS_ENCRYPT_ENV= SECRET_SITE_TOKEN_VERSION=v1
    docker stack deploy --resolve-image=never -c compose.yml "$stack" >/dev/null
)

inside() {
    docker exec "$(docker ps --quiet --filter "label=com.docker.swarm.service.name=$service" | head -n 1)" "$@"
}

plant() {
    inside sh -c "echo $1 >$page"
}

make_repository() {
    docker volume create --label "com.docker.stack.namespace=$stack" "${stack}_repository" >/dev/null
    restic init >/dev/null
}

# The volume lies in the snapshot under its own name.
restic() {
    docker run --rm --env RESTIC_PASSWORD=bench --volume "${stack}_repository:/repository" \
        --volume "${stack}_content:/volumes/content" --entrypoint /restic "$helper" \
        --no-cache --quiet --repo /repository "$@"
}

back_up() {
    restic backup --host "$stack" /volumes/content
}

put_back() {
    restic restore latest --host "$stack" --target /
}

# The recipe's own checks, as its recipe.toml has them.
check() {
    inside wget -q -O - http://127.0.0.1/greeting | grep "Hello from $stack.test" >/dev/null &&
        inside nginx -t 2>/dev/null &&
        ! inside wget -q -O /dev/null http://127.0.0.1/private/page 2>/dev/null
}

nothing_is_left() {
    local left
    left=$(
        docker service ls --quiet --filter "$label"
        docker ps --all --quiet --filter "$label"
        docker volume ls --quiet --filter "$label"
        docker config ls --quiet --filter "$label"
    )
    [ -z "$left" ] || fail "left behind: $left"
}
