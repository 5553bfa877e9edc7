#!/bin/sh
# Runs the tests, without a port. Options are those of mbserve test: ./test.sh --tap. MBSERVE is the server, if it is not in the
# path.
set -eu
cd "$(dirname "$0")"
exec "${MBSERVE:-mbserve}" test "$@" main.lua tests.lua
