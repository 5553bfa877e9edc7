#!/bin/sh
# Starts the application on a Unix socket of its own and looks at its answers. Writes TAP. MBSERVE is the server, if it is not
# in the path.
set -eu
cd "$(dirname "$0")"

work=$(mktemp -d)
"${MBSERVE:-mbserve}" main.lua "$work/socket" 2>"$work/log" &
server=$!
trap 'kill $server 2>/dev/null; wait $server; rm -rf "$work"' EXIT
until grep -q msg=ready "$work/log"; do
	kill -0 $server 2>/dev/null || {
		cat "$work/log"
		echo 'Bail out! the application did not start'
		exit 1
	}
	sleep 0.1
done

count=0 failed=0
# expect checks the answer to a GET: its status, and a text in it.
expect() {
	count=$((count + 1))
	answer=$(curl -sS -w '\n%{http_code}' --unix-socket "$work/socket" "http://localhost$1") || answer='no answer'
	case $answer in
	*"$3"*"
$2") echo "ok $count - $1" ;;
	*)
		failed=$((failed + 1))
		echo "not ok $count - $1"
		printf 'wanted %s, with %s in:\n%s\n' "$2" "$3" "$answer" | sed 's/^/# /'
		;;
	esac
}

expect / 200 'Hello, world!'
expect '/?name=%3Cb%3E' 200 'Hello, &lt;b&gt;!'
expect /greetings/Luna 200 '{"greeting":"Hello, Luna!"}'
expect /health 200 well
expect /nowhere 404 ''

echo "1..$count"
[ $failed = 0 ]
