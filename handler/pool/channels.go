package pool

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"time"
	"unsafe"

	"moonbridge/handler/channel"
	"moonbridge/handler/shm"
)

// declare answers a call of declare() of a script. A fork server that is started again declares the same as the first one.
func (fs *forkServer) declare(body []byte) error {
	const head = int(unsafe.Sizeof(shm.MsgDeclareBody{}))
	m, err := as[shm.MsgDeclareBody](body[:min(len(body), head)])
	if err != nil {
		return err
	}
	rule := channel.Rule{
		Pattern: string(body[head:]), Messages: int(min(m.Messages, math.MaxInt32)), Bytes: int(min(m.Bytes, math.MaxInt32)),
		Age: milliseconds(m.AgeMS), Slow: milliseconds(m.SlowMS), Presence: m.Presence != 0,
	}
	if err = channel.CheckRule(rule); err == nil && fs.generation == 0 {
		err = fs.h.declare(rule)
	}
	if err != nil {
		return fs.send(shm.MsgListenErr, []byte(err.Error()))
	}
	return fs.send(shm.MsgListenOK, nil)
}

func milliseconds(n uint64) time.Duration { return time.Duration(min(n, 1<<40)) * time.Millisecond }

// declare adds a rule. Of two for the same pattern, the later one holds.
func (h *Host) declare(rule channel.Rule) error {
	rules := slices.DeleteFunc(slices.Clone(h.rules), func(r channel.Rule) bool { return r.Pattern == rule.Pattern })
	rules = append(rules, rule)
	if err := h.cfg.Declared(rules); err != nil {
		return err
	}
	h.rules = rules
	return nil
}

// receiveChannels takes the socket on which a worker asks about channels. Of several, the last one counts.
func (w *Worker) receiveChannels(body []byte, fds []int) error {
	if len(fds) != 1 || len(body) > 0 {
		closeFiles(fds)
		return errMessage
	}
	f := os.NewFile(uintptr(fds[0]), "channels")
	defer f.Close()
	c, err := net.FileConn(f) // has a duplicate
	if err != nil {
		return err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return errMessage
	}
	if last := w.channels.Swap(conn); last != nil {
		last.Close()
	}
	w.said.Add(1)
	w.p.h.reading.Go(func() {
		defer w.said.Done()
		w.answerChannels(conn)
	})
	return nil
}

// answerChannels answers what a worker asks, until it closes the socket.
func (w *Worker) answerChannels(conn *net.UnixConn) {
	defer conn.Close()
	var buf, answer []byte
	for {
		typ, body, err := readMsg(conn, &buf)
		// The socket may end in the middle of a question: a worker that gets no answer for too long opens another one.
		if errors.Is(err, errMessage) {
			w.kill("malformed question about channels")
		}
		if err != nil {
			return
		}
		ask, err := shm.ReadAsk(body)
		if err != nil || typ < shm.AskPublish || typ > shm.AskWSClose {
			w.kill("malformed question about channels")
			return
		}
		how := uint32(shm.AnswerOK)
		if answer, err = w.p.h.answer(answer[:0], typ, &ask); err != nil {
			how, answer = shm.AnswerErr, []byte(err.Error())
		}
		if writeMsg(conn, how, answer) != nil {
			return
		}
	}
}

// answer appends the answer to a question of a worker.
func (h *Host) answer(dst []byte, typ uint32, a *shm.Ask) ([]byte, error) {
	hub, name := h.cfg.Channels, string(a.Name)
	if typ == shm.AskCount || typ == shm.AskPresence || typ == shm.AskHistory {
		if err := channel.CheckName(name); err != nil {
			return dst, err
		}
	}
	switch typ {
	case shm.AskPublish:
		n, err := hub.Publish(name, channel.Post{Data: string(a.Data), Event: string(a.Event), ID: string(a.ID), Key: string(a.Key)})
		hub.AwaitHeir()
		return shm.AppendNumber(dst, uint64(n)), err
	case shm.AskWSSend, shm.AskWSClose:
		return h.answerSocket(dst, typ, a)
	case shm.AskCount:
		return shm.AppendNumber(dst, uint64(hub.Count(name))), nil
	case shm.AskPresence:
		return appendPresence(dst, hub.Presence(name, cmp.Or(a.Max, presenceMax))), nil
	case shm.AskHistory:
		list, complete := hub.History(name, string(a.ID), cmp.Or(a.Max, messagesMax))
		return appendHistory(dst, list, complete), nil
	}
	return append(dst, hub.Position()...), nil
}

// presenceMax and messagesMax bound answers that have no bound of their own.
const (
	presenceMax = 1000
	messagesMax = 1000
)

func appendPresence(dst []byte, keys map[string]int) []byte {
	for key, n := range keys {
		if len(dst)+len(key) > shm.AnswerMax {
			break
		}
		dst = shm.AppendAnswerKey(dst, n, key)
	}
	return dst
}

// appendHistory appends the last messages of a list, as many as there is room for.
func appendHistory(dst []byte, list []*channel.Message, complete bool) []byte {
	first, size := len(list), 0
	for ; first > 0; first-- {
		m := list[first-1]
		if size += 128 + len(m.Data) + len(m.Name()) + len(m.Event) + len(m.Key); size > shm.AnswerMax {
			break
		}
	}
	all := uint64(0)
	if complete && first == 0 {
		all = 1
	}
	dst = shm.AppendNumber(dst, all)
	for _, m := range list[first:] {
		dst = shm.AppendAnswerMessage(dst, m.Time, m.Name(), m.Event, m.Key, m.Data)
	}
	return dst
}

// declareIn makes the rules of a script those of a hub.
func declareIn(hub *channel.Hub) func([]channel.Rule) error {
	return func(rules []channel.Rule) error {
		if err := hub.SetRules(rules); err != nil {
			return fmt.Errorf("channels: %w", err)
		}
		return nil
	}
}
