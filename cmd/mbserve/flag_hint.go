package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"moonbridge/handler/pool/listen"
)

// inScript says where options of other servers are found here.
var inScript = map[string]string{
	"port":         `ports are in the script: listen{ { proto = "tcp4", port = 8080 }, … }`,
	"host":         `addresses are in the script: listen{ { proto = "tcp", host = "127.0.0.1", port = 8080 }, … }`,
	"bind":         `addresses are in the script: listen{ { proto = "tcp", host = "127.0.0.1", port = 8080 }, … }`,
	"address":      `addresses are in the script: listen{ { proto = "tcp", host = "127.0.0.1", port = 8080 }, … }`,
	"socket":       `Unix sockets are in the script: listen{ { proto = "local", path = "app.sock" }, … }`,
	"workers":      `numbers of workers are in the script: listen{ …, min_fork = 4, max_fork = 4 }`,
	"processes":    `numbers of workers are in the script: listen{ …, min_fork = 4, max_fork = 4 }`,
	"threads":      `a worker handles one request at a time; the number of workers is in the script: listen{ …, max_fork = 16 }`,
	"timeout":      `time limits are in the script: listen{ …, request_timeout = 30 }`,
	"max-requests": `it is in the script: listen{ …, max_requests_per_fork = 1000 }`,
	"cert":         `certificates are in the script: listen{ { proto = "tcp", port = 443, tls = { cert = …, key = … } }, … }`,
	"key":          `certificates are in the script: listen{ { proto = "tcp", port = 443, tls = { cert = …, key = … } }, … }`,
	"reload":       "it is called --watch",
	"daemon":       "it is called --background",
	"daemonize":    "it is called --background",
	"config":       "there is no configuration file: the script is it",
}

// explainFlag adds to the error of an unknown flag what was probably meant.
func explainFlag(err error, f *pflag.FlagSet) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	name := unknown.GetSpecifiedName()
	if where := inScript[strings.ToLower(name)]; where != "" {
		return fmt.Errorf("%w: %s", err, where)
	}
	var names []string
	f.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	like := listen.Nearest(name, names)
	if like == "" {
		return err
	}
	var line strings.Builder
	writeFlag(&line, f.Lookup(like))
	return fmt.Errorf("%w (did you mean --%s?)\n%s", err, like, strings.TrimSuffix(line.String(), "\n"))
}
