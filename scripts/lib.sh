# shellcheck shell=bash
# What the scripts share. Sourced, never run: `source "$(dirname "$0")/lib.sh"`.
#
# A script that sources this runs strict, and at its end, however that comes, the processes it started
# with `start` are ended and the folder of `make_work_dir` is removed.

set -Eeuo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
SCRIPT=${0##*/}
readonly SCRIPT

# Servers lie where only root's search path leads.
PATH=$PATH:/usr/sbin:/usr/local/sbin

# Prints the comment at the top of the calling script, from its second line to the first empty one, as its help.
usage() {
    sed -n '2,/^$/ s/^# \{0,1\}//p' "$0"
}

note() {
    printf '%s\n' "$*"
}

die() {
    printf '%s: %s\n' "$SCRIPT" "$*" >&2
    exit 1
}

# Wrong arguments: exit status 2, as the programs have it.
bad_usage() {
    printf '%s: %s; see "%s --help"\n' "$SCRIPT" "$*" "$SCRIPT" >&2
    exit 2
}

# need COMMAND REMEDY: ends the script unless COMMAND is there.
need() {
    command -v "$1" > /dev/null || die "needs $1, which is not installed: $2"
}

need_cargo() {
    if ! command -v cargo > /dev/null && [[ -x $HOME/.cargo/bin/cargo ]]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    need cargo 'install Rust 1.89 or newer as https://rustup.rs says, then run this again'
    need cc 'the Rust linker needs it: apt-get install gcc libc6-dev'
}

# install_packages PACKAGE...: Debian's, without starting the services that come with them. Ends the script where it may
# not install, or cannot.
install_packages() {
    if [[ $EUID != 0 ]] || ! command -v apt-get > /dev/null; then
        die "needs packages that are not installed; as root: apt-get install $*"
    fi
    note "installing $*"
    make_work_dir
    # No package may start its service on this machine.
    local policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
        at_exit() { rm -f /usr/sbin/policy-rc.d; }
    fi
    { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@"; } \
        > "$WORK_DIR/apt.log" 2>&1 || { tail -n 10 "$WORK_DIR/apt.log" >&2; die 'apt-get failed; the last lines stand above'; }
    if declare -F at_exit > /dev/null; then
        at_exit
        unset -f at_exit
    fi
}

# ---- processes -----------------------------------------------------------------------------------

STARTED_PIDS=()
WORK_DIR=

# start LOG COMMAND...: runs COMMAND in the background, its output in LOG, or for "-" where the script's own goes; its id is
# then in STARTED_PID. Bash heeds a signal only once the command in the foreground has ended, but at once while it waits:
# what takes long is started and waited for.
start() {
    local log=$1
    shift
    if [[ $log == - ]]; then
        "$@" < /dev/null &
    else
        "$@" > "$log" 2>&1 < /dev/null &
    fi
    STARTED_PID=$!
    STARTED_PIDS+=("$STARTED_PID")
}

# end_process PID [SIGNAL]: ends a started process and waits for it, with SIGKILL after 10 s.
end_process() {
    local pid=$1 signal=${2:-TERM} tenths
    # Silenced as a whole: the shell has its own word to say about a child that was killed.
    {
        kill "-$signal" "$pid" || true
        for ((tenths = 0; tenths < 100; tenths++)); do
            kill -0 "$pid" || break
            sleep 0.1
        done
        kill -KILL "$pid" || true
        wait "$pid" || true
    } 2> /dev/null
}

make_work_dir() {
    [[ -n $WORK_DIR ]] || WORK_DIR=$(mktemp -d "${TMPDIR:-/tmp}/${SCRIPT%.sh}.XXXXXX")
}

# A script with more to undo defines `at_exit`.
leave() {
    local status=$? pid
    trap - EXIT INT TERM ERR
    if declare -F at_exit > /dev/null; then
        at_exit "$status" || true
    fi
    for pid in "${STARTED_PIDS[@]}"; do
        end_process "$pid"
    done
    if [[ -n $WORK_DIR ]]; then
        rm -rf "$WORK_DIR"
    fi
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'printf "%s: line %s failed: %s\n" "$SCRIPT" "$LINENO" "$BASH_COMMAND" >&2' ERR

# ---- the network ---------------------------------------------------------------------------------

# port_taken PORT: whether something listens on PORT of this machine.
port_taken() {
    (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

# free_port: prints a port that nothing listens on, below those the kernel gives to clients.
free_port() {
    local port tries
    for ((tries = 0; tries < 100; tries++)); do
        port=$((20000 + RANDOM % 12000))
        if ! port_taken "$port"; then
            printf '%s\n' "$port"
            return
        fi
    done
    die 'found no free port in 100 tries between 20000 and 31999: end some servers'
}

# need_free_port PORT WHAT REMEDY
need_free_port() {
    if port_taken "$1"; then
        die "port $1, where $2 is to listen, is taken: $3"
    fi
}

# wait_for SECONDS WHAT COMMAND...: runs COMMAND until it succeeds; past SECONDS it says what did not happen.
wait_for() {
    local seconds=$1 what=$2 deadline
    shift 2
    deadline=$((SECONDS + seconds))
    until "$@" > /dev/null 2>&1; do
        if ((SECONDS >= deadline)); then
            printf '%s: waited %s s in vain for %s\n' "$SCRIPT" "$seconds" "$what" >&2
            return 1
        fi
        sleep 0.1
    done
}

# wait_for_port PORT PID LOG WHAT: until PORT is listened on; a process that ended sooner shows its log.
wait_for_port() {
    local port=$1 pid=$2 log=$3 what=$4 tenths
    for ((tenths = 0; tenths < 100; tenths++)); do
        if port_taken "$port"; then
            return
        fi
        if ! kill -0 "$pid" 2> /dev/null; then
            break
        fi
        sleep 0.1
    done
    tail -n 5 "$log" >&2
    die "$what did not start to listen on port $port; its last lines stand above"
}

# ---- the programs --------------------------------------------------------------------------------

# build_release: builds both programs; their paths are then in PROXY and BACKEND.
# Set both beforehand to use programs that are built already.
build_release() {
    if [[ -z ${PROXY:-} || -z ${BACKEND:-} ]]; then
        need_cargo
        cargo build --quiet --release --locked --manifest-path "$ROOT/Cargo.toml" -p proxy -p backend
        local target=${CARGO_TARGET_DIR:-$ROOT/target}
        PROXY=$target/release/proxy
        BACKEND=$target/release/backend
    fi
}

# start_nginx DIR PORT SECONDS ADDRESS...: nginx/nginx.conf, listening on PORT, over the ADDRESSes with SECONDS as
# their fail_timeout, with DIR for its files.
start_nginx() {
    local dir=$1 port=$2 seconds=$3 address
    shift 3
    need nginx 'apt-get install nginx-light'
    mkdir -p "$dir/conf"
    sed "s/listen 8081;/listen 127.0.0.1:$port;/" "$ROOT/nginx/nginx.conf" > "$dir/conf/nginx.conf"
    for address in "$@"; do
        printf 'server %s max_fails=3 fail_timeout=%ss;\n' "$address" "$seconds"
    done > "$dir/conf/servers.conf"
    start "$dir/nginx.log" nginx -p "$dir" -e stderr -c "$dir/conf/nginx.conf" -g 'daemon off;'
    wait_for_port "$port" "$STARTED_PID" "$dir/nginx.log" nginx
}

# start_redis DIR PORT: an empty Redis that keeps nothing, with DIR for its files.
start_redis() {
    local dir=$1 port=$2
    need redis-server 'apt-get install redis-server'
    mkdir -p "$dir"
    start "$dir/redis.log" redis-server --bind 127.0.0.1 --port "$port" --dir "$dir" --save '' --appendonly no
    wait_for_port "$port" "$STARTED_PID" "$dir/redis.log" Redis
}

# need_docker: ends the script unless an engine answers; COMPOSE is then Compose v2 if it is there, else 1.x.
need_docker() {
    need docker 'apt-get install docker.io docker-compose'
    docker info > /dev/null 2>&1 || die 'no Docker engine answers: start one (as root: systemctl start docker)'
    if docker compose version > /dev/null 2>&1; then
        COMPOSE=(docker compose)
    else
        need docker-compose 'apt-get install docker-compose'
        # shellcheck disable=SC2034 # for the scripts that source this
        COMPOSE=(docker-compose)
    fi
}

# ---- load ----------------------------------------------------------------------------------------

# load URL SECONDS: asks again and again, each time on a new connection, and prints a line for each answer:
# when it came (seconds since 1970), its status (000: none), and who answered or what curl said.
load() {
    local url=$1 end=$((SECONDS + $2)) answer status
    while ((SECONDS < end)); do
        answer=$(curl --silent --max-time 10 --write-out '\n%{http_code} %{errormsg}' "$url") || true
        status=${answer##*$'\n'}
        if [[ $status == 200* && $answer =~ Hello\ from\ ([^!]+)! ]]; then
            printf '%s 200 %s\n' "$EPOCHSECONDS" "${BASH_REMATCH[1]}"
        else
            printf '%s %s\n' "$EPOCHSECONDS" "$status"
        fi
        sleep 0.02
    done
}

# start_load URL SECONDS CLIENTS FILE: that many loads in the background, their lines in FILE; LOAD_PIDS has their ids.
start_load() {
    local clients
    LOAD_PIDS=()
    : > "$4"
    for ((clients = 0; clients < $3; clients++)); do
        (trap - EXIT ERR; load "$1" "$2") >> "$4" &
        LOAD_PIDS+=("$!")
        STARTED_PIDS+=("$!")
    done
}

# stop_load: ends the loads before their time.
stop_load() {
    local pid
    for pid in "${LOAD_PIDS[@]}"; do
        end_process "$pid"
    done
}

# load_failures FILE: prints how many requests of a load failed.
load_failures() {
    awk '$2 != 200 { n++ } END { print n + 0 }' "$1"
}
