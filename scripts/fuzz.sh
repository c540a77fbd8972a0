#!/usr/bin/env bash
# Runs the fuzz targets of proxy/fuzz, one after the other; stops at the first finding.
#
#   bash scripts/fuzz.sh [SECONDS_PER_TARGET] [TARGET...]      default: 60 seconds, all targets
#
# Needs a C++ compiler; installs cargo-fuzz into target/tools where it is missing. What a run learns stays in
# proxy/fuzz/corpus, a finding in proxy/fuzz/artifacts; "RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none TARGET FILE" in
# proxy/ plays it again.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seconds=60
targets=()
for argument in "$@"; do
    case $argument in
        -h | --help) usage; exit ;;
        *[!0-9a-z_]* | "") bad_usage "unknown argument \"$argument\"" ;;
        *[!0-9]*) targets+=("$argument") ;;
        *) seconds=$argument ;;
    esac
done

need_cargo
need c++ 'apt-get install g++'
PATH=$ROOT/target/tools/bin:$PATH
if ! command -v cargo-fuzz > /dev/null; then
    cargo install --quiet --locked --root "$ROOT/target/tools" cargo-fuzz
fi

# The stable compiler does, told to take what libFuzzer needs. No sanitizer: there is no unsafe code here, and four times
# as many inputs are tried without.
export RUSTC_BOOTSTRAP=1
cd "$ROOT/proxy"
# By way of a variable, so that a failure ends the script.
known=$(cargo fuzz list)
mapfile -t known <<< "$known"
((${#targets[@]})) || targets=("${known[@]}")
for target in "${targets[@]}"; do
    [[ " ${known[*]} " == *" $target "* ]] || bad_usage "unknown target \"$target\"; there are ${known[*]}"
done

# Apart, so that an error here is not taken for a finding.
cargo fuzz build --sanitizer none
make_work_dir
log=$WORK_DIR/log
for target in "${targets[@]}"; do
    echo "== $target: $seconds s"
    mkdir -p "fuzz/corpus/$target"
    dict=fuzz/$target.dict
    [[ -f $dict ]] || dict=fuzz/http.dict
    status=0
    cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -dict="$dict" -print_final_stats=1 -verbosity=0 \
        > "$log" 2>&1 || status=$?
    if ((status)); then
        tail -n 40 "$log"
        die "$target: a finding; its input lies in proxy/fuzz/artifacts/$target"
    fi
    sed -n 's/^stat::number_of_executed_units: */executions: /p; s/^stat::average_exec_per_sec: */per second: /p' "$log"
done
