#!/usr/bin/env bash
# Tests the scripts as a user runs them, with the real programs on free ports of this machine.
#
#   bash scripts/script_test.sh

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
    -h | --help) usage; exit ;;
    '') ;;
    *) bad_usage "unknown argument \"$1\"" ;;
esac
(($# <= 1)) || bad_usage "unexpected argument \"$2\""
need nginx 'apt-get install nginx-light'
need redis-server 'apt-get install redis-server'
build_release
# up.sh and failover.sh are to use the same.
export PROXY BACKEND
make_work_dir
scripts=$ROOT/scripts
passed=0

# is WHAT COMMAND...: a test that passes if COMMAND succeeds; else everything it printed is shown and all ends.
is() {
    local what=$1
    shift
    if ! "$@" > "$WORK_DIR/out" 2>&1; then
        cat "$WORK_DIR/out" >&2
        die "not so: $what"
    fi
    note "ok: $what"
    passed=$((passed + 1))
}

# fails STATUS PATTERN COMMAND...: COMMAND ends with STATUS and says PATTERN.
fails() {
    local wanted=$1 pattern=$2 status=0
    shift 2
    "$@" > "$WORK_DIR/said" 2>&1 || status=$?
    cat "$WORK_DIR/said"
    [[ $status == "$wanted" ]] && grep -q -- "$pattern" "$WORK_DIR/said"
}

# says PATTERN COMMAND...: COMMAND succeeds and every PATTERN, one a line, stands in what it prints.
says() {
    local patterns=$1 pattern
    shift
    "$@" > "$WORK_DIR/said" 2>&1 || { cat "$WORK_DIR/said"; return 1; }
    cat "$WORK_DIR/said"
    while read -r pattern; do
        grep -Eq -- "$pattern" "$WORK_DIR/said" || { printf 'lacks: %s\n' "$pattern"; return 1; }
    done <<< "$patterns"
}

# share FROM TO NAME URL N AT-ONCE: curl_test.sh sees no failure, and NAME answer FROM to TO of the N.
share() {
    local from=$1 to=$2 name=$3
    shift 3
    bash "$scripts/curl_test.sh" "$@" > "$WORK_DIR/said" || { cat "$WORK_DIR/said"; return 1; }
    cat "$WORK_DIR/said"
    awk -v name="$name" -v from="$from" -v to="$to" \
        '$1 == name { n = $2 } END { exit !(n >= from && n <= to) }' "$WORK_DIR/said"
}

# up ARGUMENTS...: scripts/up.sh in the background, on new ports; URL and UP_PID then tell where.
up() {
    PROXY_PORT=$(free_port) APP1_PORT=$(free_port) APP2_PORT=$(free_port) REDIS_PORT=$(free_port)
    export PROXY_PORT APP1_PORT APP2_PORT REDIS_PORT
    URL=http://127.0.0.1:$PROXY_PORT
    start "$WORK_DIR/up.log" bash "$scripts/up.sh" "$@"
    UP_PID=$STARTED_PID
    wait_for 30 'up.sh to say that all is up' grep -q 'Ctrl-C ends all' "$WORK_DIR/up.log" || {
        cat "$WORK_DIR/up.log" >&2
        die 'up.sh did not come up'
    }
}

# down: ends up.sh; nothing it started may be left.
down() {
    end_process "$UP_PID"
    if port_taken "$PROXY_PORT" || port_taken "$APP1_PORT" || port_taken "$APP2_PORT" || port_taken "$REDIS_PORT"; then
        die 'up.sh left a process behind'
    fi
}

# stub NAME < TEXT: a shell script in place of a program, in $WORK_DIR/bin.
stub() {
    { printf '#!/bin/sh\n'; cat; } > "$WORK_DIR/bin/$1"
    chmod +x "$WORK_DIR/bin/$1"
}

# with_stubs COMMAND...: COMMAND where stubs come first.
with_stubs() {
    PATH=$WORK_DIR/bin:$PATH "$@"
}

# without_cargo COMMAND...: COMMAND where cargo lies in ~/.cargo/bin alone, which is not on the search path.
without_cargo() {
    HOME=$WORK_DIR/home PATH=$WORK_DIR/no_cargo "$@"
}

has_ended() {
    ! kill -0 "$1"
}

for script in up curl_test failover compare peers compose_test standin_images diagrams fuzz sanitize test script_test; do
    is "$script.sh --help tells what it does" says "bash scripts/$script.sh" bash "$scripts/$script.sh" --help
    is "$script.sh turns down an unknown argument" \
        fails 2 'unknown argument "--no-such"' bash "$scripts/$script.sh" --no-such
done
is 'curl_test.sh turns down a fourth argument' \
    fails 2 'unexpected argument "--bogus"' bash "$scripts/curl_test.sh" http://127.0.0.1:1 3 2 --bogus
for call in 'compose_test --registry' 'diagrams --check' 'standin_images --remove'; do
    read -r script argument <<< "$call"
    is "$script.sh turns down a second argument" \
        fails 2 'unexpected argument "--bogus"' bash "$scripts/$script.sh" "$argument" --bogus
done
is 'script_test.sh turns down a second argument' \
    fails 2 'unexpected argument "--bogus"' bash "$scripts/script_test.sh" '' --bogus

up
is 'up.sh and 100 requests: half each, hits 1 to 100' says 'app1 +50 +50\.0
    app2 +50 +50\.0
    failures +0$
    hits +1 to 100, 0 missing between, 0 counted twice' bash "$scripts/curl_test.sh" "$URL" 100
is 'up.sh on a taken port says which and what to do' \
    fails 1 "port $PROXY_PORT, where the proxy is to listen, is taken" bash "$scripts/up.sh"
down

up --redis
is 'up.sh --redis counts in Redis' says 'failures +0$
    hits +1 to 20, 0 missing between, 0 counted twice' bash "$scripts/curl_test.sh" "$URL" 20
is 'Redis has that count' says '^20$' redis-cli -p "$REDIS_PORT" get hits
down

up -- --balance ip_hash
is 'ip_hash: one client, all from one' says '100\.0 %
    failures +0$' bash "$scripts/curl_test.sh" "$URL" 30
down

is 'curl_test.sh on a dead port fails and says why' \
    fails 1 "failures  *5" bash "$scripts/curl_test.sh" "http://127.0.0.1:$(free_port)" 5

# One backend answers after 100 ms: with 8 clients at once it always has some in flight.
fast=$(free_port) slow=$(free_port) port=$(free_port)
start "$WORK_DIR/backend.log" "$BACKEND" --serve "fast=127.0.0.1:$fast" --serve "slow=127.0.0.1:$slow,delay=100ms"
wait_for_port "$fast" "$STARTED_PID" "$WORK_DIR/backend.log" 'the fast backend'
wait_for_port "$slow" "$STARTED_PID" "$WORK_DIR/backend.log" 'the slow backend'
start "$WORK_DIR/proxy.log" "$PROXY" --balance least_conn --listen "127.0.0.1:$port" \
    --upstream "127.0.0.1:$fast,127.0.0.1:$slow"
wait_for_port "$port" "$STARTED_PID" "$WORK_DIR/proxy.log" 'the proxy'
is 'least_conn: the fast one gets most' share 130 200 fast "http://127.0.0.1:$port" 200 8

is 'nginx -t accepts nginx/nginx.conf' \
    nginx -t -p "$WORK_DIR" -e stderr -c "$ROOT/nginx/nginx.conf"
for method in ip_hash least_conn; do
    mkdir "$WORK_DIR/$method"
    cp "$ROOT/nginx/servers.conf" "$WORK_DIR/$method/"
    sed "s/# $method;/$method;/" "$ROOT/nginx/nginx.conf" > "$WORK_DIR/$method/nginx.conf"
    is "nginx -T sees $method once its line is uncommented" \
        says "^ +$method;" nginx -T -p "$WORK_DIR" -e stderr -c "$WORK_DIR/$method/nginx.conf"
done

# Such an answer comes as late as that of a proxy that tries two servers in vain for a second each.
late=$(free_port)
start "$WORK_DIR/late.log" "$BACKEND" --serve "late=127.0.0.1:$late,delay=2100ms"
wait_for_port "$late" "$STARTED_PID" "$WORK_DIR/late.log" 'the late backend'
is 'healthcheck.sh waits for an answer that takes 2.1 s' bash "$scripts/healthcheck.sh" "$late" / 200
is 'healthcheck.sh turns down another status' \
    fails 1 'got "HTTP/1.1 200", wanted HTTP/1.x 204' bash "$scripts/healthcheck.sh" "$late" /healthz 204

mkdir "$WORK_DIR/bin" "$WORK_DIR/run" "$WORK_DIR/release"
: > "$WORK_DIR/run/run.json"
for program in cc nginx haproxy redis-server valgrind perf cargo; do
    stub "$program" <<< 'exit 0'
done
stub nproc <<< 'echo 2'
is 'compare.sh turns down a folder that holds a run' \
    fails 1 "$WORK_DIR/run holds a run already: name another folder" with_stubs bash "$scripts/compare.sh" "$WORK_DIR/run"
stub bench << END
echo \$\$ > "$WORK_DIR/bench.pid.new"
mv "$WORK_DIR/bench.pid.new" "$WORK_DIR/bench.pid"
exec sleep 600
END
mv "$WORK_DIR/bin/bench" "$WORK_DIR/release/"
CARGO_TARGET_DIR=$WORK_DIR with_stubs start "$WORK_DIR/compare.log" bash "$scripts/compare.sh" "$WORK_DIR/new"
wait_for 30 'compare.sh to start bench' test -e "$WORK_DIR/bench.pid" || { cat "$WORK_DIR/compare.log" >&2; exit 1; }
end_process "$STARTED_PID"
bench_pid=$(< "$WORK_DIR/bench.pid")
STARTED_PIDS+=("$bench_pid")
is 'compare.sh ends bench when it is told to end' has_ended "$bench_pid"

mkdir -p "$WORK_DIR/no_cargo" "$WORK_DIR/home/.cargo/bin"
for program in bash dirname env mkdir nice; do
    ln -s "$(command -v "$program")" "$WORK_DIR/no_cargo/"
done
for program in cc c++ cargo-fuzz; do
    stub "$program" <<< 'exit 0'
    mv "$WORK_DIR/bin/$program" "$WORK_DIR/no_cargo/"
done
stub cargo <<< 'echo "cargo $*"'
mv "$WORK_DIR/bin/cargo" "$WORK_DIR/home/.cargo/bin/"
is 'peers.sh finds cargo where rustup puts it' says '^cargo install .* sozu$
    ^sozu is installed$' without_cargo env -u XDG_CACHE_HOME bash "$scripts/peers.sh" sozu
is 'fuzz.sh finds cargo where rustup puts it' \
    fails 2 'unknown target "no_such"; there are cargo fuzz list' without_cargo bash "$scripts/fuzz.sh" no_such

is 'failover.sh: the proxy loses no request' says ', 0 failed' bash "$scripts/failover.sh" --short
is 'failover.sh --nginx: nginx neither' says ', 0 failed' bash "$scripts/failover.sh" --short --nginx

note "$passed passed, 0 failed"
