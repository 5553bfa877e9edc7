package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// storm publishes bursts on two channels at a high rate, from several clients.
type storm struct {
	s      *instance
	stop   atomic.Bool
	bursts atomic.Int64 // that were confirmed

	mu        sync.Mutex
	confirmed map[string]bool // messages
}

const stormBurst = 25

// publish is one publisher: its messages are "publisher number", in the order of the numbers.
func (p *storm) publish(publisher int) {
	for first := 0; !p.stop.Load(); first += stormBurst {
		resp, got, err := fetch("POST", p.s.url("/"), fmt.Sprintf(
			`for i = %d, %d do assert(channel.publish("room:" .. i %% 2, "%d " .. string.format("%%d", i))) end return "done"`,
			first, first+stormBurst-1, publisher))
		if err != nil || resp.StatusCode != 200 || got != "done" {
			continue // some of the burst, or none, has been published
		}
		p.mu.Lock()
		for i := range stormBurst {
			p.confirmed[fmt.Sprintf("%d %d", publisher, first+i)] = true
		}
		p.mu.Unlock()
		p.bursts.Add(1)
	}
}

// follow checks that messages of each publisher come in order on each channel, and none twice. It returns what has come.
func (p *storm) follow(l *follower, seed uint64) (got map[string]bool, err error) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	got, last := map[string]bool{}, map[string]int{}
	for ends := 0; ; {
		data, err := l.next()
		switch {
		case err != nil:
			return got, err
		case data == "end":
			if ends++; ends == 2 { // of both channels
				return got, l.body.Close()
			}
			continue
		}
		publisher, number, _ := strings.Cut(data, " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			return got, fmt.Errorf("%q", data)
		}
		key := publisher + "/" + strconv.Itoa(n%2)
		if before, ok := last[key]; ok && n <= before {
			return got, fmt.Errorf("%s: %d after %d", key, n, before)
		}
		last[key], got[data] = n, true
		if rnd.IntN(200) == 0 {
			l.body.Close() // it connects again
		}
	}
}

// Workers, and the fork server, are killed at any time while messages are published and clients come and go. What was confirmed has come to
// all of them, in the order of the channel, once.
func TestChannelsStorm(t *testing.T) {
	t.Parallel()
	s := start(t, spread("testdata/channels.lua", patient)...)
	p := &storm{s: s, confirmed: map[string]bool{}}
	type result struct {
		got map[string]bool
		err error
	}
	const clients, publishers, kills, forkKills = 4, 3, 40, 2
	results := make(chan result, clients)
	for n := range clients {
		l := s.listen("c=room:0&c=room:1", "")
		go func() {
			got, err := p.follow(l, uint64(n))
			results <- result{got, err}
		}()
	}
	var all sync.WaitGroup
	for n := range publishers {
		all.Go(func() { p.publish(n) })
	}
	progress := func() {
		t.Helper()
		from := p.bursts.Load()
		eventually(t, "messages come through", func() bool { return p.bursts.Load() > from+1 })
	}
	for n := 1; n <= kills && !t.Failed(); n++ {
		progress()
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		victims := s.workers()
		if n%(kills/forkKills) == 0 {
			victims = s.forkServers()
		}
		if len(victims) > 0 {
			syscall.Kill(victims[rand.IntN(len(victims))], syscall.SIGKILL)
		}
	}
	progress()
	p.stop.Store(true)
	all.Wait()
	for c := range 2 {
		eventually(t, "the end is published", func() bool {
			_, got, err := fetch("POST", s.url("/"), fmt.Sprintf(`return channel.publish("room:%d", "end")`, c))
			return err == nil && got != "" && got[0] >= '0' && got[0] <= '9'
		})
	}
	for range clients {
		select {
		case r := <-results:
			if r.err != nil {
				t.Error(r.err)
			}
			for m := range p.confirmed {
				if !r.got[m] {
					t.Errorf("%q was confirmed and has not come", m)
					break
				}
			}
		case <-time.After(patience):
			t.Fatal("a client does not get the end")
		}
	}
}
