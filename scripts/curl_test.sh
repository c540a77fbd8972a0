#!/usr/bin/env bash
# Sends requests with curl, each on a connection of its own, and says who answered how often.
#
#   bash scripts/curl_test.sh [URL] [N] [AT-ONCE]
#
#   URL        http://127.0.0.1:8080 unless given
#   N          how many requests: 100
#   AT-ONCE    how many of them at a time: 1
#
# Exit status 1 if any request failed (no answer, a status other than 200) or a hit was counted twice.
# Gaps in the hits are only told: other clients of the same counter make them too.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
    -h | --help) usage; exit ;;
    -*) bad_usage "unknown argument \"$1\"" ;;
esac
(($# <= 3)) || bad_usage "unexpected argument \"$4\""
url=${1:-http://127.0.0.1:8080}
requests=${2:-100}
at_once=${3:-1}
[[ $requests =~ ^[1-9][0-9]{0,6}$ ]] || bad_usage "N is a number from 1 to 9999999, not \"$requests\""
[[ $at_once =~ ^[1-9][0-9]{0,2}$ ]] || bad_usage "AT-ONCE is a number from 1 to 999, not \"$at_once\""
need curl 'apt-get install curl'
need xargs 'apt-get install findutils'
make_work_dir

# One line per request: its number, the status, the seconds, curl's word on what went wrong.
seq "$requests" | xargs -P "$at_once" -I '{}' curl --silent --max-time 30 --output "$WORK_DIR/{}.body" \
    --write-out '{} %{http_code} %{time_total} %{errormsg}\n' "$url" > "$WORK_DIR/results" || true

# The lines are whole even with many curls at once: each is one short write to a file opened for all.
printf '%s requests to %s\n' "$requests" "$url"
awk -v dir="$WORK_DIR" -v requests="$requests" '
    function bar(n, all,    text, i) {
        for (i = 0; i < int(40 * n / all + 0.5); i++) text = text "#"
        return text
    }
    {
        body = ""
        getline body < (dir "/" $1 ".body")
        close(dir "/" $1 ".body")
        seconds[NR] = $3
        if ($2 != 200) {
            why = $0
            sub(/^[^ ]+ [^ ]+ [^ ]+ ?/, "", why)
            if ($2 != "000" || why == "") why = "status " $2 (body == "" ? "" : ": " substr(body, 1, 80))
            failed[why]++
            failures++
            next
        }
        if (match(body, /^Hello from [^ !]+!/)) {
            answered[substr(body, 12, RLENGTH - 12)]++
        } else {
            answered["(no name)"]++
        }
        if (match(body, /Hits: [0-9]+/)) {
            hit = substr(body, RSTART + 6, RLENGTH - 6) + 0
            if (hit in seen) doubles++
            seen[hit] = 1
            if (hits == 0 || hit < low) low = hit
            if (hits == 0 || hit > high) high = hit
            hits++
        }
    }
    END {
        sort = "sort"
        for (name in answered)
            printf "  %-12s %6d  %5.1f %%  %s\n", name, answered[name], 100 * answered[name] / requests,
                bar(answered[name], requests) | sort
        close(sort)
        lost = requests - NR
        if (lost > 0) { failed["curl could not be run"] = lost; failures += lost }
        for (why in failed) printf "  failed       %6d  %5.1f %%  %s\n", failed[why], 100 * failed[why] / requests, why
        printf "  failures     %6d\n", failures
        if (hits == 0) {
            print "  hits         none in the answers"
        } else {
            printf "  hits         %d to %d, %d missing between, %d counted twice\n", low, high,
                high - low + 1 - (hits - doubles), doubles
        }
        exit (failures > 0 || doubles > 0)
    }' "$WORK_DIR/results" || exit 1
