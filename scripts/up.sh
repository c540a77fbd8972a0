#!/usr/bin/env bash
# Starts everything on this machine with one command: the backends app1 and app2 with their hit counter,
# and the proxy before them. Ctrl-C ends all.
#
#   bash scripts/up.sh [--redis] [-- PROXY-FLAGS...]
#
#   --redis        count in Redis instead of the backends' memory; starts a Redis that keeps nothing
#   --redis URL    the same with a Redis that runs already: redis://127.0.0.1:6379/0
#   -- FLAGS       passed to the proxy: `bash scripts/up.sh -- --balance ip_hash`
#
# Other ports: PROXY_PORT (8080), APP1_PORT (5001), APP2_PORT (5002), REDIS_PORT (6380) in the environment.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

redis=
proxy_flags=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit ;;
        --redis)
            redis=own
            if [[ ${2:-} == redis://* ]]; then
                redis=$2
                shift
            fi
            ;;
        --) shift; proxy_flags=("$@"); break ;;
        *) bad_usage "unknown argument \"$1\"" ;;
    esac
    shift
done

proxy_port=${PROXY_PORT:-8080}
app1_port=${APP1_PORT:-5001}
app2_port=${APP2_PORT:-5002}
redis_port=${REDIS_PORT:-6380}

need_free_port "$proxy_port" 'the proxy' 'end what listens there or choose another: PROXY_PORT=8090'
need_free_port "$app1_port" app1 'end what listens there or choose another: APP1_PORT=5011'
need_free_port "$app2_port" app2 'end what listens there or choose another: APP2_PORT=5012'
if [[ $redis == own ]]; then
    need redis-server 'apt-get install redis-server'
    need_free_port "$redis_port" Redis 'end what listens there or choose another: REDIS_PORT=6390'
fi

note 'building (the first time takes a minute or two) …'
build_release
make_work_dir

backend_flags=()
counter='in the memory of the backends'
if [[ $redis == own ]]; then
    start_redis "$WORK_DIR/redis" "$redis_port"
    redis=redis://127.0.0.1:$redis_port/0
fi
if [[ -n $redis ]]; then
    backend_flags=(--redis "$redis")
    counter="in Redis, $redis"
fi

start "$WORK_DIR/backend.log" "$BACKEND" --serve "app1=127.0.0.1:$app1_port" \
    --serve "app2=127.0.0.1:$app2_port" "${backend_flags[@]}"
backend_pid=$STARTED_PID
wait_for_port "$app1_port" "$backend_pid" "$WORK_DIR/backend.log" 'the backend app1'
wait_for_port "$app2_port" "$backend_pid" "$WORK_DIR/backend.log" 'the backend app2'

start "$WORK_DIR/proxy.log" "$PROXY" --listen "127.0.0.1:$proxy_port" \
    --upstream "127.0.0.1:$app1_port,127.0.0.1:$app2_port" "${proxy_flags[@]}"
proxy_pid=$STARTED_PID
wait_for_port "$proxy_port" "$proxy_pid" "$WORK_DIR/proxy.log" 'the proxy'

cat <<END
proxy   http://127.0.0.1:$proxy_port
app1    http://127.0.0.1:$app1_port
app2    http://127.0.0.1:$app2_port
hits    $counter
logs    $WORK_DIR/proxy.log, $WORK_DIR/backend.log

try     curl http://127.0.0.1:$proxy_port
        bash scripts/curl_test.sh http://127.0.0.1:$proxy_port 100
Ctrl-C ends all.
END

# A part that ends by itself ends the whole, with its last words.
wait -n "$backend_pid" "$proxy_pid" || true
tail -n 5 "$WORK_DIR/backend.log" "$WORK_DIR/proxy.log" >&2
die 'the backend or the proxy has ended; its last lines stand above'
