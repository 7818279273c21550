#!/usr/bin/env bash
# A recipe tested by hand, as a careful person would write it: deploy, wait, watch, upgrade, wait, watch, back up, look
# into it, put it back, look at the data, check, remove, wait.
. "$(dirname "$0")/shared.sh"

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

make_secret
deploy "$base"
wait_until_it_stands ""
step install

deploy "$head"
wait_until_it_stands completed
step upgrade

plant first
make_repository
back_up
restic ls latest | grep /volumes/content/page.txt >/dev/null || fail "the page is not in the snapshot"
step backup

plant second
[ "$(inside cat "$page")" = second ] || fail "the page was not changed"
put_back
[ "$(inside cat "$page")" = first ] || fail "the page is not back"
is_up || fail "$service does not stay up"
step restore

check || fail "a check of the recipe failed"
step custom

docker stack rm "$stack" >/dev/null
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
nothing_is_left
step removal
