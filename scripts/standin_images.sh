#!/usr/bin/env bash
# Makes stand-ins for the images that Dockerfile and docker-compose.yml name, for machines that reach no image
# registry. They come from Debian packages (debootstrap), this machine's Rust toolchain and the vendored crates,
# so that `docker-compose up --build` then needs no network at all.
#
#   bash scripts/standin_images.sh            make those that are missing
#   bash scripts/standin_images.sh --remove   remove the stand-ins, and only them
#
# An image that is there under its tag and is not a stand-in is used as it is, never replaced.
# What a run with stand-ins proves: Dockerfile, compose file, networks, names, health checks and restarts work on
# a real engine, with Debian's Redis and nginx. What it does not: that the published images behave the same.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly DEBIAN=debian:bookworm-slim RUST=rust:1-slim-bookworm REDIS=redis:7 NGINX=nginx:stable
# The toolchain without the crates: large, and the same for every Cargo.lock.
readonly TOOLCHAIN=standin/rust-toolchain
# Carried by every stand-in; its value says what it was made of.
readonly LABEL=balancer.standin
readonly SUITE=bookworm
# To be raised when this script makes them differently.
readonly DEBIAN_RECIPE=$SUITE-1

# made_of TAG: prints what the stand-in under TAG was made of; empty for another image; fails for none.
made_of() {
    docker image inspect --format "{{ index .Config.Labels \"$LABEL\" }}" "$1" 2> /dev/null
}

# up_to_date TAG RECIPE: whether TAG needs no work, being the stand-in made of RECIPE or somebody's own image.
up_to_date() {
    local recipe
    recipe=$(made_of "$1") || return 1
    [[ -z $recipe || $recipe == "$2" ]]
}

# A Debian without anything beyond its essential packages, in $WORK_DIR/base; made once in a run.
base_tree() {
    if [[ ! -d $WORK_DIR/base ]]; then
        [[ $EUID == 0 ]] || die 'needs to be root for debootstrap: run it with sudo'
        need debootstrap 'apt-get install debootstrap'
        note "  debootstrap $SUITE"
        debootstrap --variant=minbase "$SUITE" "$WORK_DIR/base" > "$WORK_DIR/debootstrap.log" 2>&1 || {
            tail -n 5 "$WORK_DIR/debootstrap.log" >&2
            die 'debootstrap failed; the last lines stand above'
        }
        # No package may start its service while it is being installed.
        printf '#!/bin/sh\nexit 101\n' > "$WORK_DIR/base/usr/sbin/policy-rc.d"
        chmod +x "$WORK_DIR/base/usr/sbin/policy-rc.d"
        rm -rf "$WORK_DIR"/base/var/cache/apt/archives/*.deb "$WORK_DIR"/base/usr/share/{doc,man,locale}/* "$WORK_DIR"/base/var/lib/apt/lists/*
    fi
}

# tree NAME PACKAGE...: the base with packages, in $WORK_DIR/NAME.
tree() {
    local name=$1 dir=$WORK_DIR/$1
    shift
    base_tree
    note "  $name: $*"
    cp -a --reflink=auto "$WORK_DIR/base" "$dir"
    cp /etc/resolv.conf "$dir/etc/resolv.conf"
    DEBIAN_FRONTEND=noninteractive chroot "$dir" sh -c '
        apt-get -q update && apt-get -qy install --no-install-recommends "$@" && apt-get clean' sh "$@" \
        > "$WORK_DIR/$name.log" 2>&1 || {
        tail -n 5 "$WORK_DIR/$name.log" >&2
        die "the packages $* could not be installed; the last lines stand above"
    }
    rm -rf "$dir"/var/lib/apt/lists/*
}

# import_tree NAME TAG RECIPE [CHANGE...]: makes an image of $WORK_DIR/NAME, with Dockerfile instructions.
import_tree() {
    local name=$1 tag=$2 recipe=$3 changes=() change
    shift 3
    for change in "LABEL $LABEL=$recipe" "$@"; do
        changes+=(--change "$change")
    done
    tar -C "$WORK_DIR/$name" -c . | docker import "${changes[@]}" - "$tag" > /dev/null
}

debian_image() {
    up_to_date "$DEBIAN" "$DEBIAN_RECIPE" && return
    note "making a stand-in for $DEBIAN"
    base_tree
    import_tree base "$DEBIAN" "$DEBIAN_RECIPE" 'CMD ["bash"]'
}

redis_image() {
    up_to_date "$REDIS" "$DEBIAN_RECIPE" && return
    note "making a stand-in for $REDIS"
    tree redis redis-server
    install -d -o "$(tree_id redis redis 3)" -g "$(tree_id redis redis 4)" "$WORK_DIR/redis/data"
    import_tree redis "$REDIS" "$DEBIAN_RECIPE" 'WORKDIR /data' 'VOLUME /data' 'EXPOSE 6379' 'CMD ["redis-server"]'
}

nginx_image() {
    up_to_date "$NGINX" "$DEBIAN_RECIPE" && return
    note "making a stand-in for $NGINX"
    tree nginx nginx-light
    chroot "$WORK_DIR/nginx" useradd --system --uid 101 --user-group --no-create-home nginx 2> /dev/null ||
        chroot "$WORK_DIR/nginx" useradd --system --user-group --no-create-home nginx
    import_tree nginx "$NGINX" "$DEBIAN_RECIPE" 'EXPOSE 80' 'CMD ["nginx", "-g", "daemon off;"]'
}

# tree_id NAME USER FIELD: field 3 (user id) or 4 (group id) of USER in the tree's own passwd file.
tree_id() {
    awk -F : -v user="$2" -v field="$3" '$1 == user { print $field }' "$WORK_DIR/$1/etc/passwd"
}

# The toolchain as it stands in the sysroot, without rustup and documentation.
toolchain_image() {
    local recipe=$1 sysroot host
    up_to_date "$TOOLCHAIN" "$recipe" && return
    tree rust gcc libc6-dev
    sysroot=$(rustc --print sysroot)
    host=$(rustc -vV | sed -n 's/^host: //p')
    note "  toolchain: $(rustc --version)"
    mkdir -p "$WORK_DIR/rust/usr/local/cargo"
    (cd "$sysroot" && cp -a --reflink=auto --parents bin/cargo bin/rustc "lib/rustlib/$host" "$WORK_DIR/rust/usr/local/" &&
        find lib -maxdepth 1 -name '*.so*' -exec cp -a --reflink=auto --parents '{}' "$WORK_DIR/rust/usr/local/" ';')
    import_tree rust "$TOOLCHAIN" "$recipe" 'ENV CARGO_HOME=/usr/local/cargo' \
        'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
}

# The toolchain and, in place of crates.io, the sources of every crate in Cargo.lock.
rust_image() {
    local toolchain recipe
    toolchain=$DEBIAN_RECIPE-$(rustc --version | tr -cs 'a-zA-Z0-9.\n' '-')
    recipe=$toolchain-$(sha256sum < "$ROOT/Cargo.lock" | cut -c 1-16)
    up_to_date "$RUST" "$recipe" && return
    note "making a stand-in for $RUST"
    toolchain_image "$toolchain"
    note '  crates: cargo vendor'
    mkdir "$WORK_DIR/crates"
    cargo vendor --quiet --locked --manifest-path "$ROOT/Cargo.toml" "$WORK_DIR/crates/vendor"
    cat > "$WORK_DIR/crates/config.toml" <<'END'
[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "/usr/local/cargo/vendor"
END
    printf 'FROM %s\nCOPY . /usr/local/cargo/\nLABEL %s=%s\n' "$TOOLCHAIN" "$LABEL" "$recipe" |
        docker build --quiet --tag "$RUST" --file - "$WORK_DIR/crates" > "$WORK_DIR/build.log" 2>&1 || {
        tail -n 5 "$WORK_DIR/build.log" >&2
        die "$RUST could not be made; the last lines stand above"
    }
}

remove() {
    local tag
    for tag in "$RUST" "$TOOLCHAIN" "$REDIS" "$NGINX" "$DEBIAN"; do
        if [[ -n $(made_of "$tag" || true) ]]; then
            note "removing the stand-in for $tag"
            docker image rm "$tag" > /dev/null
        fi
    done
}

(($# <= 1)) || bad_usage "unexpected argument \"$2\""
case ${1:-} in
    -h | --help) usage ;;
    --remove) need_docker; remove ;;
    '')
        need_docker
        need_cargo
        make_work_dir
        debian_image
        redis_image
        nginx_image
        rust_image
        # Those that were replaced, and nothing else.
        docker image prune --force --filter "label=$LABEL" > /dev/null
        note "stand-ins or images of their own are there: $DEBIAN $RUST $REDIS $NGINX"
        ;;
    *) bad_usage "unknown argument \"$1\"" ;;
esac
