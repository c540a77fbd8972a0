#!/usr/bin/env bash
# Says by its exit status whether an HTTP server in this container answers.
#
#   healthcheck PORT PATH [STATUS]
#
# Without STATUS any HTTP answer will do, and a proxy may first try two servers in vain for a second each (docker-compose.yml):
# it has 4 s. The health check's own timeout is to be longer. Needs nothing but bash, so that the images need no curl.

set -euo pipefail

port=$1 path=$2 wanted=${3:-}
exec 3<> "/dev/tcp/127.0.0.1/$port"
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$path" >&3
if ! read -r -t 4 version status _ <&3; then
    printf 'healthcheck: port %s, %s: no HTTP answer within 4 s\n' "$port" "$path" >&2
    exit 1
fi
if [[ $version != HTTP/1.* || ( -n $wanted && $status != "$wanted" ) ]]; then
    printf 'healthcheck: port %s, %s: got "%s %s", wanted HTTP/1.x %s\n' "$port" "$path" "$version" "$status" "$wanted" >&2
    exit 1
fi
