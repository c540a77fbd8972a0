#!/usr/bin/env bash
# Runs docker-compose.yml on the Docker engine of this machine, under a project name and ports of its own, and
# stops, starts, crashes and recreates a backend while requests go on.
#
#   bash scripts/compose_test.sh [--registry]
#
#   --registry   pull the images from their registry instead of making stand-ins (scripts/standin_images.sh)
#
# Everything it made is taken down at the end, also after a failure; the images stay.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

standins=yes
case ${1:-} in
    -h | --help) usage; exit ;;
    --registry) standins=no ;;
    '') ;;
    *) bad_usage "unknown argument \"$1\"" ;;
esac
(($# <= 1)) || bad_usage "unexpected argument \"$2\""
need curl 'apt-get install curl'
need_docker

PROJECT=balancertest$$
PROXY_PORT=$(free_port)
NGINX_PORT=$(free_port)
CONTAINER_PREFIX=$PROJECT-
export PROXY_PORT NGINX_PORT CONTAINER_PREFIX
via_proxy=http://127.0.0.1:$PROXY_PORT
via_nginx=http://127.0.0.1:$NGINX_PORT
squatter=$PROJECT-squatter
# fail_timeout and the interval at which names are resolved, as docker-compose.yml and the proxy have them.
readonly FAIL_TIMEOUT=10 RESOLVE_INTERVAL=10
# The proxy's --connect-timeout there, and a little.
readonly CONNECT_TIMEOUT_PAST=2
# What a busy machine may take on top of either.
readonly SLACK=10

# dc SECONDS ARGUMENTS...: compose on the project, bounded in time.
dc() {
    local seconds=$1
    shift
    timeout "$seconds" "${COMPOSE[@]}" --project-name "$PROJECT" --file "$ROOT/docker-compose.yml" "$@"
}

at_exit() {
    if (($1 != 0)); then
        note '---- the containers and their last words ----' >&2
        dc 30 ps >&2
        dc 30 logs --no-color --tail 20 >&2
    fi
    docker rm --force "$squatter" > /dev/null 2>&1
    dc 120 down --volumes --remove-orphans > "$WORK_DIR/down.log" 2>&1 || cat "$WORK_DIR/down.log" >&2
}

step() {
    printf '\n== %s (%s s) ==\n' "$1" "$SECONDS"
}

# container SERVICE: prints its container's id.
container() {
    dc 30 ps --quiet "$1"
}

health() {
    docker inspect --format '{{.State.Health.Status}}' "$(container "$1")"
}

is_healthy() {
    [[ $(health "$1") == healthy ]]
}

address() {
    docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container "$1")"
}

# answers URL NAME: whether the next few requests bring an answer of NAME.
answers() {
    local tries
    for ((tries = 0; tries < 4; tries++)); do
        if [[ $(curl --silent --max-time 5 "$1") == "Hello from $2!"* ]]; then
            return
        fi
    done
    return 1
}

# settle SECONDS: until both backends get their share by the proxy. A connect attempt from while one was away may
# still be charged to it now, so that is let pass first.
settle() {
    sleep "$CONNECT_TIMEOUT_PAST"
    wait_for "$1" 'both backends to get their share' shared
}

# shared: whether each of the two answers at least 3 of the next 10 requests.
shared() {
    bash "$ROOT/scripts/curl_test.sh" "$via_proxy" 10 > "$WORK_DIR/share" &&
        awk '/^  app/ && $2 >= 3 { n++ } END { exit n != 2 }' "$WORK_DIR/share"
}

# expect URL N NAME=LOW-HIGH...: N requests, no failure, each NAME answering LOW to HIGH of them and nobody else.
expect() {
    local url=$1 requests=$2 wanted name range
    shift 2
    bash "$ROOT/scripts/curl_test.sh" "$url" "$requests" | tee "$WORK_DIR/answers"
    for wanted in "$@"; do
        name=${wanted%%=*} range=${wanted#*=}
        awk -v name="$name" -v low="${range%-*}" -v high="${range#*-}" '
            $1 == name { n = $2 } END { exit !(n >= low && n <= high) }' "$WORK_DIR/answers" ||
            die "$name answered a number of requests that is not within $range"
    done
}

# no_failures WHAT: ends the load and says how it went.
no_failures() {
    local failures
    stop_load
    failures=$(load_failures "$WORK_DIR/load")
    note "  $(wc -l < "$WORK_DIR/load") requests meanwhile, $failures failed"
    if ((failures > 0)); then
        awk '$2 != 200' "$WORK_DIR/load" | sort | uniq -c | head -n 10 >&2
        die "$1 made requests fail"
    fi
}

hits_in_redis() {
    dc 30 exec -T redis redis-cli get hits | tr -d '\r'
}

make_work_dir
if [[ $standins == yes ]]; then
    step 'stand-ins for the images'
    bash "$ROOT/scripts/standin_images.sh"
fi

step 'build'
dc 1200 build > "$WORK_DIR/build.log" 2>&1 || { tail -n 30 "$WORK_DIR/build.log" >&2; die 'the build failed'; }
docker image ls --format '  {{.Repository}} {{.Size}}' | grep balancer/

step 'up'
dc 180 up --detach > "$WORK_DIR/up.log" 2>&1 || { tail -n 30 "$WORK_DIR/up.log" >&2; die 'docker-compose up failed'; }
for service in redis app1 app2 proxy nginx; do
    wait_for 60 "$service to be healthy" is_healthy "$service"
done
for service in app1 proxy; do
    [[ $(docker exec "$(container "$service")" cat /proc/1/status | awk '/^Uid/ { print $2 }') != 0 ]] ||
        die "$service runs as root in its container"
done
note '  all healthy, none of ours as root'

step 'half each, by the proxy and by nginx'
# The health checks are requests too: one or two among the hundred may shift the turn.
expect "$via_proxy" 100 app1=45-55 app2=45-55
expect "$via_nginx" 100 app1=45-55 app2=45-55

step 'docker stop app2: all go to app1'
start_load "$via_proxy" 60 4 "$WORK_DIR/load"
sleep 1
docker stop "${CONTAINER_PREFIX}app2" > /dev/null
sleep 2
no_failures 'docker stop app2'
expect "$via_proxy" 40 app1=40-40
expect "$via_nginx" 40 app1=40-40

step 'docker start app2: it is back'
start_load "$via_proxy" 90 2 "$WORK_DIR/load"
docker start "${CONTAINER_PREFIX}app2" > /dev/null
wait_for $((FAIL_TIMEOUT + SLACK)) 'app2 to get requests again' answers "$via_proxy" app2
settle $((FAIL_TIMEOUT + SLACK))
no_failures 'docker start app2'
wait_for 60 'app2 to be healthy' is_healthy app2
expect "$via_proxy" 100 app1=45-55 app2=45-55

step 'app1 is killed: restarted by its policy'
start_load "$via_proxy" 90 4 "$WORK_DIR/load"
sleep 1
# From outside: `docker kill` would count as a wish to have it stopped.
kill -KILL "$(docker inspect --format '{{.State.Pid}}' "$(container app1)")"
settle $((FAIL_TIMEOUT + SLACK))
no_failures 'the crash of app1'

step 'app2 is recreated under a new address: found again'
start_load "$via_proxy" 120 2 "$WORK_DIR/load"
old_address=$(address app2)
dc 60 rm --stop --force app2 > "$WORK_DIR/rm.log" 2>&1
# Something else takes the address, so that the new container has to get another one.
docker run --detach --name "$squatter" --network "${PROJECT}_default" --entrypoint sleep balancer/backend 600 > /dev/null
dc 60 up --detach --no-deps --no-build app2 > "$WORK_DIR/up.log" 2>&1
new_address=$(address app2)
note "  app2 was $old_address, is $new_address"
[[ $new_address != "$old_address" ]] || die 'the recreated app2 got its old address: this proves nothing'
wait_for $((RESOLVE_INTERVAL + FAIL_TIMEOUT + SLACK)) 'app2 to be found under its new address' answers "$via_proxy" app2
settle $((FAIL_TIMEOUT + SLACK))
no_failures 'a new address of app2'
expect "$via_proxy" 100 app1=45-55 app2=45-55
# nginx resolves at start only.
dc 60 restart nginx > "$WORK_DIR/restart.log" 2>&1
wait_for 30 'nginx to answer again' answers "$via_nginx" app2
expect "$via_nginx" 100 app1=45-55 app2=45-55

step 'the counter'
before=$(hits_in_redis)
expect "$via_proxy" 50 app1=20-30 app2=20-30
after=$(hits_in_redis)
note "  Redis had $before, has $after"
((after == before + 50)) || die '50 requests did not add 50 to the counter in Redis'
grep -q "hits  *$((before + 1)) to $after, 0 missing between, 0 counted twice" "$WORK_DIR/answers" ||
    die 'the answers do not carry the numbers that Redis gave out'

step 'done'
