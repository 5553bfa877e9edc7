package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"

	"moonbridge/benchmarks/internal/servers"
)

// names are the servers. mbserve comes first: the others are compared with it.
var names = []string{"mbserve", "nginx", "nethttp"}

// startAll starts the servers.
func startAll(s *servers.Settings) (all []*servers.Server, err error) {
	for _, name := range names {
		one, err := start(s, name)
		if err != nil {
			return all, err
		}
		all = append(all, one)
	}
	return all, nil
}

func stopAll(all []*servers.Server) {
	for _, s := range all {
		s.Stop()
	}
}

// start starts a server, and checks that it speaks HTTP/2.
func start(s *servers.Settings, name string) (*servers.Server, error) {
	one, err := s.Start(name, servers.HTTP2())
	if err != nil {
		return nil, err
	}
	if err := check(url(one, "100k")); err != nil {
		one.Stop()
		return nil, fmt.Errorf("%s: %w\n%s", name, err, one.LogTail())
	}
	return one, nil
}

func url(s *servers.Server, path string) string { return servers.HTTP2().URL(s.Address, "/"+path) }

// checkTimeout bounds the time for an answer.
const checkTimeout = 20 * time.Second

// check reports whether the large answer comes with HTTP/2.
func check(url string) error {
	client := &http.Client{Timeout: checkTimeout, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil || res.ProtoMajor != 2 || res.StatusCode != http.StatusOK || n != 100<<10 {
		return fmt.Errorf("%s %s, %d bytes, %v", res.Proto, res.Status, n, err)
	}
	return nil
}
