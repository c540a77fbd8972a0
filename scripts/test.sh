#!/usr/bin/env bash
# Runs every check of the project, installing from Debian packages what is missing (as root; else it says what to
# install). Redis and nginx are started by the tests themselves, on free loopback ports in temporary folders.
#
#   bash scripts/test.sh                  all parts
#   bash scripts/test.sh PART...          only these
#   SKIP="compose deny" bash scripts/test.sh    all but these
#
# Parts: fmt clippy deny shellcheck test scripts compose bench gate fuzz
# A part that cannot run is a failure; only SKIP leaves one out.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly PARTS=(fmt clippy deny shellcheck test scripts compose bench gate fuzz)
known() {
    [[ " ${PARTS[*]} " == *" $1 "* ]]
}

wanted=()
for part in "$@"; do
    case $part in
        -h | --help) usage; exit ;;
        -*) bad_usage "unknown argument \"$part\"" ;;
    esac
    known "$part" || bad_usage "unknown part \"$part\"; there are ${PARTS[*]}"
    wanted+=("$part")
done
((${#wanted[@]})) || wanted=("${PARTS[@]}")
for part in ${SKIP:-}; do
    known "$part" || bad_usage "SKIP names the unknown part \"$part\"; there are ${PARTS[*]}"
done
skipped() {
    [[ " ${SKIP:-} " == *" $1 "* ]]
}
runs() {
    [[ " ${wanted[*]} " == *" $1 "* ]] && ! skipped "$1"
}

# ---- what the parts need -------------------------------------------------------------------------

missing=()
# wants COMMAND PACKAGE...
wants() {
    if ! command -v "$1" > /dev/null; then
        missing+=("${@:2}")
    fi
}
wants curl curl
wants cc gcc libc6-dev
if runs shellcheck; then wants shellcheck shellcheck; fi
if runs test || runs scripts || runs bench || runs gate; then
    wants nginx nginx-light
    wants redis-server redis-server
    wants wrk wrk
    wants strace strace
    wants valgrind valgrind
    # The reports of bench are looked at in a browser, which needs some font.
    wants chromium chromium fonts-dejavu-core
fi
if runs fuzz; then wants c++ g++; fi
if runs compose; then
    wants docker docker.io
    docker compose version > /dev/null 2>&1 || wants docker-compose docker-compose
    wants debootstrap debootstrap
fi
if ((${#missing[@]})); then
    install_packages "${missing[@]}"
fi
need_cargo
if runs compose && ! docker info > /dev/null 2>&1; then
    die 'no Docker engine answers: start one (as root: systemctl start docker), or leave the part out: SKIP=compose'
fi

# ---- the parts -----------------------------------------------------------------------------------

part_fmt() {
    cargo fmt --all --check
}

part_clippy() {
    cargo clippy --workspace --all-targets --locked -- -D warnings
}

# Advisories need their database from the network: `cargo deny check advisories` where it is reached.
part_deny() {
    if ! cargo deny --version > /dev/null 2>&1; then
        cargo install --quiet --locked cargo-deny
    fi
    cargo deny --locked check licenses bans sources
}

part_shellcheck() {
    shellcheck --external-sources scripts/*.sh .ci/run
}

part_test() {
    cargo test --workspace --locked --no-fail-fast
    # The simulation again, optimised but with every check, and whether it finds the bugs that are planted for it.
    cargo test --package proxy --locked --profile sim --features planted-bugs --test simulation
}

part_scripts() {
    bash scripts/script_test.sh
}

part_compose() {
    bash scripts/compose_test.sh
}

part_bench() {
    cargo bench --workspace --locked --no-run
}

# Counts, not times: what others do on this machine does not matter.
part_gate() {
    cargo run --quiet --release --locked --package bench -- gate
}

# A look at each target; an hour is for a machine that has one: bash scripts/fuzz.sh 3600
part_fuzz() {
    bash scripts/fuzz.sh 20
}

cd "$ROOT"
summary=()
failed=0
trap - ERR
for part in "${PARTS[@]}"; do
    runs "$part" || { skipped "$part" && summary+=("$(printf '%-12s %-8s' "$part" 'LEFT OUT')"); continue; }
    printf '\n######## %s\n' "$part"
    began=$SECONDS
    # A shell of its own, and not as a condition, within which `set -e` would not count.
    set +e
    (set -e; trap - EXIT; "part_$part")
    status=$?
    set -e
    if ((status == 0)); then word=ok; else word=FAILED failed=$((failed + 1)); fi
    summary+=("$(printf '%-12s %-8s %5s s' "$part" "$word" $((SECONDS - began)))")
done

printf '\n######## summary\n'
printf '%s\n' "${summary[@]}"
if ((failed)); then
    die "$failed of the parts failed"
fi
note "all well in $SECONDS s"
