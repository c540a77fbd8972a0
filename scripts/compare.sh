#!/usr/bin/env bash
# From a fresh machine to a report: the proxy beside nginx, HAProxy and the floor, measured here.
#
#   bash scripts/compare.sh [--full | --quick] [--faults] [FOLDER]
#
#   --full    a run worth keeping, which takes a quarter of an hour, or half an hour beside a
#             restless neighbour; this is the default
#   --quick   a look that takes a minute
#   --faults  the failure lab and the methods of balancing as well, ten minutes more
#   FOLDER    where the results go, without a run in it; else a new folder in bench/runs, named after the time and this
#             machine
#
# Installs nginx, HAProxy, Redis, valgrind and perf from Debian packages where they are missing (as root; else it says
# what to install). Envoy, Caddy, Sōzu and Pingora are compared too where they are there: bash scripts/peers.sh gets them. The
# machine is to be left alone meanwhile: a run that was disturbed says so, is kept for a look, and the exit status is 1.
# docs/benchmarking.md tells how to read it.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

extent=(--full --redis) folder='' faults=false
for word in "$@"; do
    case $word in
        -h | --help) usage; exit ;;
        --full) extent=(--full --redis) ;;
        --quick) extent=(--quick) ;;
        --faults) faults=true ;;
        -*) bad_usage "unknown argument \"$word\"" ;;
        *)
            [[ -z $folder ]] || bad_usage "one folder is enough, not \"$folder\" and \"$word\""
            folder=$word
            ;;
    esac
done

[[ -z $folder || $folder == /* ]] || folder=$PWD/$folder
cd "$ROOT"
# From here where it can be, so that no path of this machine stands in the command that the run keeps.
folder=${folder#"$PWD"/}
[[ -n $folder ]] || folder=bench/runs/$(date -u +%FT%H%M)-$(uname -n)-$(nproc)-cores
[[ ! -e $folder/run.json ]] || die "$folder holds a run already: name another folder, or remove this one first"

missing=()
# wants COMMAND PACKAGE...
wants() {
    command -v "$1" > /dev/null || missing+=("${@:2}")
}
wants cc gcc libc6-dev
wants nginx nginx-light
wants haproxy haproxy
wants redis-server redis-server
wants valgrind valgrind
wants perf linux-perf
if ((${#missing[@]})); then
    install_packages "${missing[@]}"
fi
need_cargo
(($(nproc) > 1)) || die 'this machine has one core; the subject needs one to itself, and the load another one'

note 'building'
cargo build --quiet --release --locked

# bench ARGUMENTS...: a signal to this script ends it at once.
bench() {
    start - "${CARGO_TARGET_DIR:-target}/release/bench" "$@"
    wait "$STARTED_PID"
}

status=0
bench compare "${extent[@]}" --out "$folder" || status=$?
[[ -e $folder/run.json ]] || exit "$status"
if $faults; then
    bench faults --json "$folder/faults.json" > "$folder/faults.txt" || status=$?
    bench balance --json "$folder/balance.json" > "$folder/balance.txt" || status=$?
fi
bench report "$folder"
exit "$status"
