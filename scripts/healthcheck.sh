#!/usr/bin/env bash
# Says by its exit status whether an HTTP server in this container answers.
#
#   healthcheck PORT PATH [STATUS]
#
# Without STATUS any HTTP answer will do. Needs nothing but bash, so that the images need no curl.

set -euo pipefail

port=$1 path=$2 wanted=${3:-}
exec 3<> "/dev/tcp/127.0.0.1/$port"
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$path" >&3
read -r -t 2 version status _ <&3
if [[ $version != HTTP/1.* || ( -n $wanted && $status != "$wanted" ) ]]; then
    printf 'healthcheck: port %s, %s: got "%s %s", wanted HTTP/1.x %s\n' "$port" "$path" "$version" "$status" "$wanted" >&2
    exit 1
fi
