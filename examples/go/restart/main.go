// Command restart replaces itself with a new version of its binary, without refusing a connection or breaking off a response:
// SIGUSR2 starts the program again, with the listening sockets; the old process then finishes what it has begun, and ends.
//
//	go build ./examples/go/restart && ./restart    # then: curl http://127.0.0.1:8081/
//	kill -USR2 PID                                 # the process in its log: now the answers come from another one
//	kill PID                                       # ends that one, when it has finished its requests
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
)

// socketsVariable has the number of inherited sockets, one for each loop. They follow descriptor 3, a pipe to which it writes a byte when it serves.
const socketsVariable = "RESTART_SOCKETS"

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	if err := run(*address); err != nil {
		log.Fatal(err)
	}
}

func run(address string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2, syscall.SIGTERM, os.Interrupt)
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	ln, err := e.Open("tcp", address, engine.OpenOptions{Inherited: inherited()})
	if err != nil {
		return err
	}
	if err := e.Serve(ln, handler.Blocking(handler.Func(whoAmI), 0), 0, engine.Limits{}); err != nil {
		return err
	}
	log.Printf("process %d: http://%s/", os.Getpid(), ln.Addr())
	if os.Getenv(socketsVariable) != "" {
		syscall.Write(3, []byte{1})
	}
	end := e.Drain
	for s := range signals {
		if s != syscall.SIGUSR2 {
			break
		}
		if err := replace(ln); err != nil {
			log.Print("restart: ", err) // this process goes on
			continue
		}
		ln.HandOver()  // from here on the new process accepts
		end = e.Retire // idle connections end after their next response, not at once
		break
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	end(ctx) // an error of it is that of Shutdown too
	return e.Shutdown(ctx)
}

func whoAmI(w *handler.Response, r *handler.Request) {
	if string(r.Path()) == "slow" {
		log.Print("a slow request")
		time.Sleep(time.Second)
	}
	fmt.Fprintf(w, "process %d\n", os.Getpid())
}

// inherited returns the listening sockets that the old process has passed on, if there is one.
func inherited() (sockets []int) {
	n, _ := strconv.Atoi(os.Getenv(socketsVariable))
	for fd := 4; fd < 4+n; fd++ {
		syscall.CloseOnExec(fd)
		sockets = append(sockets, fd)
	}
	return sockets
}

// replace starts the new process, and waits until it serves.
func replace(ln *engine.Listener) error {
	sockets, err := ln.Files()
	if err != nil {
		return err
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	ready, write, err := os.Pipe()
	if err == nil {
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.ExtraFiles = append([]*os.File{write}, sockets...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", socketsVariable, len(sockets)))
		err = cmd.Start()
	}
	for _, f := range append(sockets, write) {
		f.Close()
	}
	if err != nil {
		return err
	}
	defer ready.Close()
	ready.SetReadDeadline(time.Now().Add(time.Minute))
	if n, _ := ready.Read(make([]byte, 1)); n != 1 { // it has ended, or hangs
		cmd.Process.Kill()
		cmd.Wait()
		return errors.New("the new process does not serve")
	}
	return nil
}
