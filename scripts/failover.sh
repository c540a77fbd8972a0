#!/usr/bin/env bash
# Kills one of two backends under load (SIGKILL), starts it again, and shows second by second who answered.
#
#   bash scripts/failover.sh [--nginx] [--short]
#
#   --nginx   nginx (nginx/nginx.conf) instead of the proxy
#   --short   a fail_timeout of 2 s instead of 10 s, and less time for each part
#
# Starts its own backends, without a counter, on free ports of this machine. Exit status 1 if a request failed.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

subject=proxy fail_timeout=10 calm=4
while (($#)); do
    case $1 in
        -h | --help) usage; exit ;;
        --nginx) subject=nginx ;;
        --short) fail_timeout=2 calm=2 ;;
        *) bad_usage "unknown argument \"$1\"" ;;
    esac
    shift
done

need curl 'apt-get install curl'
build_release
make_work_dir
port=$(free_port)
app1_port=$(free_port)
app2_port=$(free_port)

# start_backend NAME PORT: its id is then in STARTED_PID.
start_backend() {
    start "$WORK_DIR/$1.log" "$BACKEND" --serve "$1=127.0.0.1:$2"
    wait_for_port "$2" "$STARTED_PID" "$WORK_DIR/$1.log" "the backend $1"
}

# event TEXT: says it now, and in the timeline.
event() {
    printf '%s %s\n' "$EPOCHSECONDS" "$1" >> "$WORK_DIR/events"
    note "$1"
}

start_backend app1 "$app1_port"
start_backend app2 "$app2_port"
app2_pid=$STARTED_PID
if [[ $subject == nginx ]]; then
    start_nginx "$WORK_DIR/nginx" "$port" "$fail_timeout" "127.0.0.1:$app1_port" "127.0.0.1:$app2_port"
    subject_log=$WORK_DIR/nginx/nginx.log
else
    start "$WORK_DIR/proxy.log" "$PROXY" --listen "127.0.0.1:$port" --max-fails 3 \
        --fail-timeout "${fail_timeout}s" --upstream "127.0.0.1:$app1_port,127.0.0.1:$app2_port"
    wait_for_port "$port" "$STARTED_PID" "$WORK_DIR/proxy.log" 'the proxy'
    subject_log=$WORK_DIR/proxy.log
fi

down=$((fail_timeout + calm))
start_load "http://127.0.0.1:$port/" $((down + 3 * calm + fail_timeout)) 4 "$WORK_DIR/load"
note "load on $subject, port $port, over app1, port $app1_port, and app2, port $app2_port"
sleep "$calm"
event 'app2 killed'
end_process "$app2_pid" KILL
sleep "$down"
start_backend app2 "$app2_port"
event 'app2 started again'
sleep $((calm + fail_timeout))
stop_load

note ''
# "second app1 app2 failed", one # for app1 and one = for app2 for every 2 % of that second's requests.
awk '
    FNR == NR { when = $1; sub(/^[^ ]+ /, ""); events[when] = events[when] "  <- " $0; next }
    {
        if (first == 0 || $1 < first) first = $1
        if ($1 > last) last = $1
        if ($2 != 200) failed[$1]++
        else answered[$1, $3]++
    }
    function bar(sign, n, all,    text, i) {
        for (i = 0; i < int(50 * n / all + 0.5); i++) text = text sign
        return text
    }
    END {
        printf "second   app1   app2  failed\n"
        for (s = first; s <= last; s++) {
            a = answered[s, "app1"] + 0; b = answered[s, "app2"] + 0; f = failed[s] + 0
            all = a + b + f
            printf "%6d %6d %6d %7d  %s%s\n", s - first, a, b, f,
                all ? bar("#", a, all) bar("=", b, all) bar("!", f, all) : "", events[s]
        }
    }' "$WORK_DIR/events" "$WORK_DIR/load"

note ''
note "what $subject logged:"
tail -n 20 "$subject_log" | cut -c 1-160 | sed 's/^/  /'
failures=$(load_failures "$WORK_DIR/load")
note ''
note "$(wc -l < "$WORK_DIR/load") requests, $failures failed"

# Who answered before the kill, while app2 was away (a second's grace), and at the end?
phases=$(awk '
    FNR == NR { if (/app2 killed/) killed = $1; if (/started again/) again = $1; next }
    $3 == "app2" && $1 < killed { before++ }
    $3 == "app2" && $1 > killed + 1 && $1 < again { away++ }
    $3 == "app2" && $1 > again { after++ }
    END { print before + 0, away + 0, after + 0 }' "$WORK_DIR/events" "$WORK_DIR/load")
read -r before away after <<< "$phases"
((before > 0)) || die 'app2 answered nothing before it was killed'
((away == 0)) || die "app2 answered $away requests while it was dead: something else listens on its port"
((after > 0)) || die "app2 got no request within $((calm + fail_timeout)) s of its return"
((failures == 0)) || die "$failures requests failed"
