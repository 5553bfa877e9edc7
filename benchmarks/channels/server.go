package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/benchmarks/internal/servers"
)

// script is what mbserve runs. A history is kept, as nchan does.
const script = `local http = require "moonbridge_http"
local channel = require "moonbridge_channel"
local websocket = require "moonbridge_websocket"
channel.declare("all", { history = { messages = 10 } })
websocket.handler("idle", { message = function() end })
listen{
	{ proto = "tcp4", port = %d, localhost = true, http2 = %s }, min_fork = 2, max_fork = 2,
	connect = http.generate_handler(function(request)
		if request.path == "pub" then
			channel.publish("all", request.body)
			request:send_status("200 OK")
			request:send_data("\n")
		elseif request.path == "sub" then
			request:subscribe{ channels = "all", keepalive = false }
		elseif request.path == "ws" then
			request:accept_websocket{ handler = "idle", channels = "all" }
		else
			request:send_status("200 OK")
			request:send_header("Content-Type", "text/plain")
			request:send_data("Hello, world!\n")
		end
	end),
}
`

// nginxConf is that of nginx with nchan, and, for -beside, with Lua.
const nginxConf = `%s
daemon off;
worker_processes auto;
worker_rlimit_nofile %d;
error_log stderr error;
pid %s/pid;
events { worker_connections %d; }
http {
	access_log off;
	server_tokens off;
	default_type text/plain;
	keepalive_requests 1000000000;
	client_body_temp_path %[3]s; proxy_temp_path %[3]s; fastcgi_temp_path %[3]s; uwsgi_temp_path %[3]s; scgi_temp_path %[3]s;
	nchan_shared_memory_size 1G;
	server {
		listen 127.0.0.1:%[5]d backlog=4096;
		%[7]s
		location /pub { nchan_publisher; nchan_channel_id all; nchan_message_buffer_length 10; }
		location /sub { nchan_subscriber eventsource; nchan_channel_id all; nchan_subscriber_first_message newest; }
		location /ws { nchan_subscriber websocket; nchan_channel_id all; nchan_subscriber_first_message newest; }
		%[6]s
	}
}
`

const nginxHello = `location / { content_by_lua_block { local body = "Hello, world!\n"; ngx.header["Content-Length"] = #body; ngx.print(body) } }`

// server is one that runs.
type server struct {
	name, address string
	plain         string // its address for HTTP/1.1
	dir           string
	*servers.Process
}

func startServer(o *options, name string) (*server, error) {
	dir, err := os.MkdirTemp("", "channels-")
	if err != nil {
		return nil, err
	}
	s := &server{name: name, dir: dir}
	if err := s.start(o); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) start(o *options) error {
	port, err := servers.FreePort()
	if err != nil {
		return err
	}
	s.address = fmt.Sprint("127.0.0.1:", port)
	s.plain = s.address
	version := "false"
	if o.streams > 0 {
		version = `"h2c"`
	}
	file, text := filepath.Join(s.dir, "app.lua"), fmt.Sprintf(script, port, version)
	cmd := exec.Command(o.settings.Mbserve, append(slices.Clone(o.settings.MbserveFlags), file)...)
	switch {
	case isFloor(s.name):
		cmd = o.settings.FloorCommand(s.address, int(s.name[len(servers.Floor)]-'0'))
	case s.name == "nchan":
		file = filepath.Join(s.dir, "nginx.conf")
		modules, hello := "load_module "+o.nchan+";", ""
		if o.beside {
			for _, name := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
				modules += "load_module " + filepath.Join(o.settings.NginxModules, name) + ";"
			}
			hello = nginxHello
		}
		// Without TLS, nginx speaks HTTP/2 on a port of its own only.
		listen := ""
		if o.streams > 0 {
			second, err := servers.FreePort()
			if err != nil {
				return err
			}
			s.address = fmt.Sprint("127.0.0.1:", second)
			listen = "listen " + s.address + " http2 backlog=4096;"
		}
		text = fmt.Sprintf(nginxConf, modules, o.subscribers+1000, s.dir, o.subscribers+1000, port, hello, listen)
		cmd = exec.Command("nginx", "-c", file, "-p", s.dir)
	case s.name == centrifugo:
		file = filepath.Join(s.dir, "config.json")
		text = fmt.Sprintf(centrifugoConf, port)
		cmd = exec.Command(o.centrifugo, "-c", file)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	if s.Process, err = servers.Launch(cmd, filepath.Join(s.dir, "log")); err != nil {
		return err
	}
	if err := s.Await(func() error { return s.publish("x") }); err != nil {
		return fmt.Errorf("%s: %w\n%s", s.name, err, s.logged())
	}
	return nil
}

// publish publishes a message, on a connection that persists.
func (s *server) publish(data string) error {
	path, kind := "/pub", "text/plain"
	if s.name == centrifugo {
		path, kind, data = centrifugoPublish, "application/json", fmt.Sprintf(centrifugoMessage, data)
	}
	resp, err := http.Post("http://"+s.plain+path, kind, strings.NewReader(data))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode >= 300 {
		return fmt.Errorf("published: %s", resp.Status)
	}
	return nil
}

// logged is what the server has written.
func (s *server) logged() []byte {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return text
}

func isFloor(name string) bool { return strings.HasPrefix(name, servers.Floor) }

// used is the CPU time of the server so far.
func (s *server) used() time.Duration {
	t, _ := s.Tree.CPU()
	return t
}

// selfCPU is the CPU time of this process so far.
func selfCPU() time.Duration {
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func (s *server) stop() {
	if s.Process != nil {
		s.Stop()
	}
	os.RemoveAll(s.dir)
}
