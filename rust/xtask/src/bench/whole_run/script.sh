#!/usr/bin/env bash
# A recipe tested by hand, as a careful person would write it: deploy, wait, watch, upgrade, wait, watch, remove, wait.
#
#   script.sh STACK BASE HEAD WINDOW
#
# BASE and HEAD are folders with the recipe's files, WINDOW the seconds for which a deploy has to stand. Prints
# `step NAME SECONDS` after each step.
set -euo pipefail
stack=$1 base=$2 head=$3 window=$4
service=${stack}_app
secret=${stack}_site_token_v1

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

deploy() (
    cd "$1"
    set -a
    . ./abra.sh
    export STACK_NAME=$stack DOMAIN=$stack.test LETS_ENCRYPT_ENV= SECRET_SITE_TOKEN_VERSION=v1
    docker stack deploy --resolve-image=never -c compose.yml "$stack" >/dev/null
)

is_up() {
    [ "$(docker service ls --filter "name=$service" --format '{{.Replicas}}')" = 1/1 ]
}

# A first deploy has no update state, an upgrade has to come to "completed".
is_updated() {
    [ "$(docker service inspect "$service" --format '{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}')" = "$1" ]
}

wait_until_it_stands() {
    for _ in $(seq 120); do
        if is_up && is_updated "$1"; then
            for _ in $(seq "$window"); do
                sleep 1
                is_up || fail "$service does not stay up"
            done
            return
        fi
        sleep 1
    done
    fail "$service does not come up"
}

head -c 32 /dev/urandom | base64 | docker secret create "$secret" - >/dev/null
deploy "$base"
wait_until_it_stands ""
step install

deploy "$head"
wait_until_it_stands completed
step upgrade

docker stack rm "$stack" >/dev/null
label=label=com.docker.stack.namespace=$stack
for _ in $(seq 120); do
    if [ -z "$(docker ps --all --quiet --filter "$label")" ] && [ -z "$(docker network ls --quiet --filter "$label")" ]; then
        break
    fi
    sleep 1
done
for volume in $(docker volume ls --quiet --filter "$label"); do
    for _ in $(seq 60); do
        docker volume rm "$volume" >/dev/null 2>&1 && break
        sleep 1
    done
done
docker secret rm "$secret" >/dev/null
left=$(
    docker service ls --quiet --filter "$label"
    docker ps --all --quiet --filter "$label"
    docker volume ls --quiet --filter "$label"
    docker config ls --quiet --filter "$label"
)
[ -z "$left" ] || fail "left behind: $left"
step removal
