#!/bin/sh
# Installs what the benchmarks need besides Go and a C compiler, on Debian and its derivatives: wrk, slowhttptest, nginx with
# its Lua module, lua-cjson, HAProxy, and Caddy if the distribution has it. Does nothing if they are installed. nginx, HAProxy
# and Caddy are not started as services and not enabled at boot.
set -eu

packages=
command -v wrk >/dev/null || packages="$packages wrk"
command -v slowhttptest >/dev/null || packages="$packages slowhttptest"
command -v haproxy >/dev/null || packages="$packages haproxy"
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || packages="$packages libnginx-mod-stream"
[ -x /usr/sbin/nginx ] && had_nginx=yes || had_nginx=no
[ "$had_nginx" = yes ] || packages="$packages nginx"
[ -x /usr/sbin/haproxy ] && had_haproxy=yes || had_haproxy=no
[ "$had_haproxy" = yes ] || packages="$packages haproxy"
command -v caddy >/dev/null && had_caddy=yes || had_caddy=no
[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || packages="$packages libnginx-mod-http-lua"
ls /usr/lib/*/lua/5.1/cjson.so >/dev/null 2>&1 || packages="$packages lua-cjson"
if [ -z "$packages" ] && [ "$had_caddy" = yes ]; then
	echo "wrk, slowhttptest, nginx, its Lua module, lua-cjson, HAProxy and Caddy are installed"
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

# invoke-rc.d asks this program whether a package may start its service. An existing one is left alone; a service that
# it allows is stopped below.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap '$as_root rm -f $policy' EXIT
	trap 'exit 1' INT TERM HUP
	printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
	$as_root chmod 755 $policy
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
# The development files of one LuaJIT conflict with those of another. Replacing them would change what mbserve is built with.
# shellcheck disable=SC2086 # a list of words
if apt-get -s install --no-install-recommends $packages | grep '^Remv'; then
	echo "install.sh: installing$packages would remove the packages above; nothing was installed" >&2
	exit 1
fi
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages

if [ "$had_caddy" = no ] && [ -d /run/systemd/system ] && command -v caddy >/dev/null; then
	$as_root systemctl disable --now caddy.service
fi
if [ "$had_haproxy" = no ]; then
	if [ -d /run/systemd/system ]; then
		$as_root systemctl disable --now haproxy.service
	elif command -v update-rc.d >/dev/null; then
		$as_root update-rc.d haproxy disable
	fi
fi
if [ "$had_nginx" = no ]; then
	if [ -d /run/systemd/system ]; then
		$as_root systemctl disable --now nginx.service
	elif command -v update-rc.d >/dev/null; then
		$as_root update-rc.d nginx disable
	fi
	# An existing policy may have allowed the service to start.
	if [ -s /run/nginx.pid ]; then
		$as_root nginx -s stop
	fi
fi
