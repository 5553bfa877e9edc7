#!/bin/sh
# Builds and runs one of the measuring programs:
#
#   run.sh [compare] [flags]    compare servers under load (run.sh --help)
#   run.sh idle [flags]         memory and latency with many idle connections (run.sh idle --help)
#   run.sh growth [flags]       number of workers under a load in steps (run.sh growth --help)
#   run.sh slow [flags]         honest clients beside slow ones (run.sh slow --help)
#
# Paths in flags are relative to the working directory.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
program=compare
case "${1-}" in
compare | idle | growth | slow)
	program=$1
	shift
	;;
esac

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
(cd "$here" && go build -o "$temp/$program" "./$program")

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
