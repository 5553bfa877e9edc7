#!/bin/sh
# Installs what the benchmarks need besides Go and a C compiler, on Debian and its derivatives: wrk, h2load, slowhttptest, nginx with
# its Lua module, lua-cjson, HAProxy, and Caddy if the distribution has it. Does nothing if they are installed. nginx, HAProxy
# and Caddy are not started as services and not enabled at boot.
set -eu

packages=
command -v wrk >/dev/null || packages="$packages wrk"
command -v slowhttptest >/dev/null || packages="$packages slowhttptest"
command -v h2load >/dev/null || packages="$packages nghttp2-client"
command -v haproxy >/dev/null || packages="$packages haproxy"
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || packages="$packages libnginx-mod-stream"
[ -x /usr/sbin/nginx ] || packages="$packages nginx"
command -v caddy >/dev/null && had_caddy=yes || had_caddy=no
[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || packages="$packages libnginx-mod-http-lua"
ls /usr/lib/*/lua/5.1/cjson.so >/dev/null 2>&1 || packages="$packages lua-cjson"
if [ -z "$packages" ] && [ "$had_caddy" = yes ]; then
	echo "wrk, h2load, slowhttptest, nginx, its Lua module, lua-cjson, HAProxy and Caddy are installed"
	exit 0
fi

if ! command -v apt-get >/dev/null; then
	[ "$had_caddy" = yes ] || packages="$packages caddy"
	echo "install.sh: apt-get not found; please install:$packages" >&2
	exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
	as_root=sudo
fi

$as_root apt-get update
if [ "$had_caddy" = no ]; then
	if apt-cache show caddy >/dev/null 2>&1; then
		packages="$packages caddy"
	else
		echo "install.sh: there is no package caddy; leave it out with -servers" >&2
	fi
fi
if [ -z "$packages" ]; then
	exit 0
fi
# shellcheck disable=SC2086 # a list of words
"$(dirname "$0")/../scripts/install-packages" $packages
