#!/bin/sh
# Builds and runs one of the measuring programs:
#
#   run.sh [compare] [flags]    compare servers under load (run.sh --help)
#   run.sh quick [flags]        the same in two minutes: mbserve and nginx, four workloads, no result file
#   run.sh channels [flags]     subscribers of server-sent events (run.sh channels --help)
#   run.sh idle [flags]         memory and latency with many idle connections (run.sh idle --help)
#   run.sh workers [flags]      start, memory and reload of Lua workers (run.sh workers --help)
#   run.sh micro [flags]        parser, timing wheel and queue (run.sh micro --help)
#   run.sh growth [flags]       number of workers under a load in steps (run.sh growth --help)
#   run.sh slow [flags]         honest clients beside slow ones (run.sh slow --help)
#   run.sh slowfiles [flags]    1,000 slow readers of a large static file (run.sh slowfiles --help)
#   run.sh https [flags]        compare with the workloads of HTTPS: kept connections, a handshake each, both together, 100 KiB
#   run.sh http2 [flags]        HTTP/2 with TLS beside nginx and net/http; -attacks: honest clients beside floods (run.sh http2 --help)
#   run.sh plot RESULT          draw a result of compare as SVG (run.sh plot --help)
#   run.sh all                  compare with all workloads, idle, workers and micro: two hours
#
# Flags of compare can be added to quick and https.
# Paths in flags are relative to the working directory.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
program=compare
case "${1-}" in
compare | channels | idle | workers | micro | growth | slow | slowfiles | http2 | plot)
	program=$1
	shift
	;;
quick)
	shift
	set -- -servers mbserve,nginx -workload hello,json,form,pipelined -conns 64,256 -rounds 3 -duration 1s -out - "$@"
	;;
https)
	shift
	set -- -workload https,handshake,besidehandshakes,https100k -name https "$@"
	;;
all)
	[ $# -eq 1 ] || { echo "run.sh all takes no flags: run the programs one by one" >&2; exit 2; }
	"$0" compare -workload all -rounds 5
	"$0" idle -conns 10000 -name idle-10000
	# Where the limit of open files is lower and cannot be raised, the rest is still measured.
	"$0" idle -conns 50000 -name idle-50000 || echo "run.sh: 50,000 idle connections were not measured" >&2
	"$0" workers
	exec "$0" micro
	;;
esac

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
(cd "$here" && go build -buildvcs=false -o "$temp/$program" "./$program")

# A signal to this script must reach the program, which then stops its servers and writes its measurements.
"$temp/$program" -dir "$here" "$@" &
pid=$!
trap 'kill -TERM "$pid" 2>/dev/null || :' INT TERM HUP
status=0
wait "$pid" || status=$?
# A signal ends the wait, but not the program.
while kill -0 "$pid" 2>/dev/null; do
	status=0
	wait "$pid" || status=$?
done
exit "$status"
