// Command mbserve serves the web application that a Lua script describes. It runs the script, which calls listen{…},
// and answers requests on the script's listeners with its handlers, in forked worker processes.
//
// It connects the parts: package engine has the connections, handler/pool the processes, and the other packages of handler what can
// stand between. Here are the command line, the life of the server, and its logs.
//
// # Nouns
//
// A server is a running mbserve. A generation is one load of the script, with its fork server, pools and listeners; a reload makes
// another one. An address is listened on by the server, and generations share it. A chain is what answers the requests of a listener:
// the pool, with files, routes, caches and limits in front of it.
//
// # Reading order
//
//   - main.go: commands and exit codes. options.go: the options, whose values are in choice.go, bytes.go, seconds.go, scheduling.go,
//     access_format.go, trace.go and watch_option.go. usage.go: the help. flag_hint.go: options of other servers. completion.go.
//   - serve.go: from the options to a server that runs. signals.go: what signals do. serve_stop.go, drain.go: the end of the server.
//     background.go: a server without a terminal. pidfile.go, workdir.go, notify.go, watchdog.go: for those that supervise it.
//     garbage.go: how often Go's collector runs.
//   - generation.go: a load of the script. reload.go: from one to the next. selftest.go: tests that it has to pass before.
//     watch.go, watch_extra.go: files whose changes are a reason. main_handler.go: handlers that run as long as the server.
//   - addresses.go, listen.go: what is listened on. activation.go: sockets that somebody else has opened. socket_owner.go,
//     unix_root_*.go: the files of Unix sockets.
//   - chain.go: what answers the requests of a listener. Its links: static.go, routes.go, caches.go, rate_limits.go, redirect.go.
//     directory.go: a server without a script.
//   - certificates.go: those of files. automatic.go: those of ACME. development.go: those of --tls-self-signed. tickets.go: keys that
//     resume sessions.
//   - channels.go, websockets.go, bus.go: real time.
//   - upgrade.go: another process takes over. upgrade_pass.go says what it gets; upgrade_channels.go, upgrade_dictionaries.go and
//     upgrade_timers.go pass on what the script has. upgrade_linux.go, upgrade_other.go start it.
//   - privileges.go: the user of the server. files.go, guarded.go, rootfiles.go, as_user_*.go: files that this user may not open.
//   - log.go: the server's log. Where it goes: log_file.go, log_plain.go, syslog.go. log_level.go: what goes there. access.go: the access log.
//   - admin.go: the admin listener. admin_status.go, admin_figures.go, admin_loops.go, admin_pools.go, connections.go: what it shows.
//   - crashes.go: records of failed requests. replay.go: "mbserve replay" sends one again. replay_run.go, replay_send.go, replay_log.go,
//     replay_gdb.go.
//   - For those who write a script: application.go ("mbserve new"), check.go (--check), test_command.go and test_log.go ("mbserve
//     test"), and with --dev failure_page.go, failure_source.go, dev_path.go and dev_request.go.
package main
