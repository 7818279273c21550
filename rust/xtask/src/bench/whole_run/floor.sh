#!/usr/bin/env bash
# The same work as script.sh at the least time Docker allows: events instead of pauses, containers removed by force.
#
# It judges nothing: no failure is told from another.
. "$(dirname "$0")/shared.sh"

coproc EVENTS {
    exec docker events --format '{{.Type}} {{.Action}}' --filter type=service --filter type=container \
        --filter event=create --filter event=update --filter event=remove --filter event=start \
        --filter event=health_status --filter event=die --filter event=destroy
}
events=$EVENTS_PID
trap 'kill "$events" 2>/dev/null' EXIT

# Returns at the next event, or after so many seconds.
next() {
    read -r -t "$1" -u "${EVENTS[0]}" _ || true
}

stands() {
    [ "$(docker service ls --filter "name=$service" --format '{{.Replicas}}')" = 1/1 ] &&
        [ "$(docker service inspect "$service" --format '{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}')" = "$1" ]
}

# The window runs from the moment the newest task runs, not from the moment it was seen.
wait_until_it_stands() {
    local deadline=$((SECONDS + 120)) task since
    until stands "$1"; do
        [ $SECONDS -lt $deadline ] || fail "$service does not come up"
        next 1
    done
    task=$(docker service ps --quiet --filter desired-state=running "$service" | head -n 1)
    since=$(date -d "$(docker inspect "$task" --format '{{.Status.Timestamp}}' | sed 's/ UTC$//')" +%s.%N)
    sleep "$(awk "BEGIN { rest = $window - ($(date +%s.%N) - $since); print (rest > 0 ? rest : 0) }")"
    stands "$1" || fail "$service does not stay up"
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
step backup

plant second
put_back
step restore

check
step custom

docker service rm "$service" >/dev/null
docker secret rm "$secret" >/dev/null
docker config ls --quiet --filter "$label" | xargs --no-run-if-empty docker config rm >/dev/null
deadline=$((SECONDS + 120))
while :; do
    containers=$(docker ps --all --quiet --filter "$label")
    if [ -n "$containers" ]; then
        # One may be going by itself at this moment.
        docker rm --force --volumes $containers >/dev/null 2>&1 || true
    elif [ -z "$(docker stack ps --quiet "$stack" 2>/dev/null)" ]; then
        break
    fi
    [ $SECONDS -lt $deadline ] || fail "tasks of $stack stay"
    # The end of a task is no event.
    next 0.1
done
docker volume ls --quiet --filter "$label" | xargs --no-run-if-empty docker volume rm >/dev/null
nothing_is_left
step removal
