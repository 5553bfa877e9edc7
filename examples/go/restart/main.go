// Command restart changes to a new version of its binary without refusing a connection or breaking off a response. SIGUSR2 starts its
// file again, as a child that inherits the listening sockets. Once the child serves, the old process finishes its requests and ends.
//
//	go build ./examples/go/restart && ./restart    # then: curl http://127.0.0.1:8081/
//	kill -USR2 PID                                 # PID is in the log. Now another process answers
//	kill PID                                       # the new PID: it finishes its requests, and ends
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

// socketsVariable tells the new process how many listening sockets it inherits, as descriptors 4 and up. Descriptor 3 is a pipe. One
// address has several sockets: one for each event loop (SO_REUSEPORT).
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
	// The first 0 is the default number of goroutines (256). The second one is passed to handlers as Request.Listener; any number will do.
	if err := e.Serve(ln, handler.Blocking(handler.Func(whoAmI), 0), 0, engine.Limits{}); err != nil {
		return err
	}
	log.Printf("process %d: http://%s/", os.Getpid(), ln.Addr())
	if os.Getenv(socketsVariable) != "" {
		syscall.Write(3, []byte{1}) // tells replace, in the old process, that this one serves
	}
	replaced := false
	for !replaced && <-signals == syscall.SIGUSR2 {
		if err := replace(ln); err != nil {
			log.Print("restart: ", err) // this process goes on
			continue
		}
		ln.HandOver() // only the new process accepts connections now. docs/go.md shows how to tell systemd its PID
		replaced = true
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // while it lasts, further signals have no effect
	defer cancel()
	if replaced {
		e.Retire(ctx) // an idle connection may send one more request within a second. Shutdown alone would close it
	}
	return e.Shutdown(ctx)
}

func whoAmI(w *handler.Response, r *handler.Request) {
	if string(r.Path()) == "slow" {
		log.Print("a slow request")
		time.Sleep(time.Second)
	}
	fmt.Fprintf(w, "process %d\n", os.Getpid())
}

// inherited returns the descriptors of the listening sockets from the old process. If there is none, Open makes new sockets.
func inherited() (sockets []int) {
	n, _ := strconv.Atoi(os.Getenv(socketsVariable))
	for fd := 4; fd < 4+n; fd++ {
		syscall.CloseOnExec(fd)
		sockets = append(sockets, fd)
	}
	return sockets
}

// replace starts the new process, and waits until it serves. If it does not, it is killed.
func replace(ln *engine.Listener) error {
	ready, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	sockets, err := ln.Files()
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
	ready.SetReadDeadline(time.Now().Add(time.Minute))
	if n, _ := ready.Read(make([]byte, 1)); n != 1 { // the new process has ended, or hangs
		cmd.Process.Kill()
		cmd.Wait()
		return errors.New("the new process does not serve")
	}
	return nil
}
