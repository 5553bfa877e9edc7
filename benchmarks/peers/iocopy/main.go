package main

import (
	"io"
	"net"

	"moonbridge/benchmarks/peers/workload"
)

func main() {
	address, upstream := workload.Args()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		workload.Fail(err)
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			workload.Fail(err)
		}
		go relay(conn.(*net.TCPConn), upstream)
	}
}

// relay passes a connection on until both directions have ended.
func relay(client *net.TCPConn, upstream string) {
	defer client.Close()
	conn, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer conn.Close()
	server := conn.(*net.TCPConn)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(server, client)
		server.CloseWrite()
	}()
	io.Copy(client, server)
	client.CloseWrite()
	<-ended
}
