#!/usr/bin/env bash
# Runs tests where undefined behaviour, wrong accesses and leaks are seen: Miri and AddressSanitizer.
#
#   bash scripts/sanitize.sh                 both
#   bash scripts/sanitize.sh miri|address    one of them
#
# There is no unsafe code here but in the counting allocator of one test (proxy/tests/allocations.rs); what is looked for
# lies in dependencies and in the compiler. Miri interprets the protocol layer's tests; AddressSanitizer runs all unit tests
# and 100 seeds of the simulation (SIM_SEEDS=n: n of them), leaks included. A few minutes each. AddressSanitizer does with
# the stable compiler, which has its runtime; Miri needs a nightly toolchain with its components (rustup toolchain install
# nightly --component miri,rust-src). ThreadSanitizer and MemorySanitizer would need a standard library built with them, and
# so every test a build of its own: left out.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

wanted=(miri address)
if (($#)); then wanted=("$@"); fi
for part in "${wanted[@]}"; do
    case $part in
        miri | address) ;;
        -h | --help) usage; exit ;;
        *) bad_usage "unknown argument \"$part\"" ;;
    esac
done

need_cargo
cd "$ROOT"
for part in "${wanted[@]}"; do
    note "== $part"
    if [[ $part == miri ]]; then
        cargo +nightly miri --version > /dev/null 2>&1 \
            || die "no Miri; run: rustup toolchain install nightly --component miri,rust-src, or leave it out: $SCRIPT address"
        # Property tests with few cases: one takes seconds here.
        MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=2 \
            cargo +nightly miri test --locked --target-dir target/miri -p proxy --lib -- http:: buffer
    else
        # The target is named so that build scripts and macros stay without it. The stable compiler does, told to take
        # what it needs.
        target=$(rustc -vV | sed -n 's/^host: //p')
        RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address SIM_SEEDS=${SIM_SEEDS:-100} cargo test --locked \
            --target "$target" --target-dir target/asan -p proxy --lib --test simulation
    fi
done
note "all well in $SECONDS s"
