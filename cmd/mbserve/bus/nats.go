package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsSession is a stream of JetStream.
type natsSession struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	stream string
}

const (
	// natsPing is the time between questions whether a connection lives; the second one without an answer ends it.
	natsPing = 5 * time.Second
	// natsInactive is how long NATS keeps what it knows of a server that is gone.
	natsInactive = time.Minute
	// natsBuffer bounds the entries that have been received and not yet passed on.
	natsBuffer = 4 << 20
)

// dialNATS connects. It is the Bus that connects again when the connection breaks.
func dialNATS(ctx context.Context, a *Address) (*natsSession, error) {
	options := []nats.Option{
		nats.Name("mbserve"), nats.NoReconnect(), nats.Timeout(dialTimeout), nats.PingInterval(natsPing), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // that of the library writes to standard error
	}
	if config := a.tls(); config != nil {
		options = append(options, nats.Secure(config))
	}
	switch {
	case a.creds != "":
		options = append(options, nats.UserCredentials(a.creds))
	case a.nkey != "":
		option, err := nats.NkeyOptionFromSeed(a.nkey)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.nkey, err)
		}
		options = append(options, option)
	case a.hasPassword:
		options = append(options, nats.UserInfo(a.user, a.password))
	case a.user != "":
		options = append(options, nats.Token(a.user))
	}
	conn, err := nats.Connect("nats://"+strings.Join(a.hosts, ",nats://"), options...)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &natsSession{conn, js, a.name}, nil
}

func (s *natsSession) close() { s.conn.Close() }

// subject is what entries are sent to.
func (s *natsSession) subject() string { return s.stream + ".channels" }

// about creates the stream if it does not exist. One that an operator has created is used as it is.
func (s *natsSession) about(ctx context.Context) (about, error) {
	stream, err := s.js.Stream(ctx, s.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: s.stream, Subjects: []string{s.subject()}, Discard: jetstream.DiscardOld, MaxMsgs: logEntries, MaxBytes: logBytes,
		})
	}
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return about{}, errors.New("the NATS server has no JetStream")
	case err != nil:
		return about{}, err
	}
	info := stream.CachedInfo()
	name := "n" + strconv.FormatInt(info.Created.UnixNano(), 36)
	return about{name, max(info.State.FirstSeq, 1), info.State.LastSeq}, nil
}

func (s *natsSession) append(ctx context.Context, b *batch) error {
	data := b.append(nil)
	if int64(len(data)) > s.conn.MaxPayload() {
		return fmt.Errorf("%w of %d bytes: the NATS server has max_payload %d", errRefused, len(data), s.conn.MaxPayload())
	}
	id := strconv.FormatUint(b.origin, 36) + "-" + strconv.FormatUint(b.number, 36)
	_, err := s.js.Publish(ctx, s.subject(), data, jetstream.WithMsgID(id), jetstream.WithExpectStream(s.stream))
	api, ok := errors.AsType[*jetstream.APIError](err)
	if ok && api.ErrorCode == natsTooLarge || errors.Is(err, nats.ErrMaxPayload) { // with the header of the message
		return fmt.Errorf("%w: %v", errRefused, err)
	}
	return err
}

// natsTooLarge is the code of the error that a message is larger than a stream takes.
const natsTooLarge = 10054

func (s *natsSession) follow(ctx context.Context, after uint64, fn func(e *entry) error) error {
	// An OrderedConsumer of the library would do, if it did not try for ever when the stream is gone.
	consumer, err := s.js.CreateConsumer(ctx, s.stream, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1, AckPolicy: jetstream.AckNonePolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: natsInactive,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxBytes(natsBuffer), jetstream.PullHeartbeat(natsPing))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for delivered := uint64(1); ; delivered++ {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		about, err := m.Metadata()
		if err != nil {
			return err
		}
		if about.Sequence.Consumer != delivered {
			return errors.New("an entry was not delivered")
		}
		if err := fn(&entry{about.Sequence.Stream, about.Timestamp.UnixMilli(), m.Data()}); err != nil {
			return err
		}
	}
}
