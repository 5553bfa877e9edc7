package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// redisSession is a stream of Redis. Its entries have the time and a counter as their number, so numbers grow even if the stream is
// deleted.
type redisSession struct {
	client redis.UniversalClient
	stream string
	window *window
}

const (
	// redisField is that of an entry which has the batch.
	redisField = "b"
	// redisName is the name of all logs in Redis.
	redisName = "r"
	// redisCounterBits is how many bits of an entry's number are the counter.
	redisCounterBits = 14
	// redisBlock is how long a request for entries waits for one. A connection that is dead is noticed after that.
	redisBlock = 5 * time.Second
	// redisRead is how many entries a request gets at most.
	redisRead = 16
)

func init() { redis.SetLogger(noLogger{}) }

// noLogger is a logger of the library, which would write to standard error. We log what goes wrong ourselves.
type noLogger struct{}

func (noLogger) Printf(context.Context, string, ...any) {}

// dialRedis returns a session. It connects when it is used.
func dialRedis(a *Address, w *window) *redisSession {
	return &redisSession{client: redisClient(a), stream: a.name, window: w}
}

func redisClient(a *Address) redis.UniversalClient {
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch a.kind {
	case redisSentinel:
		// The sentinels say which server is the master. When that changes, the session ends.
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: a.master, SentinelAddrs: a.hosts, SentinelUsername: a.sentinelUser, SentinelPassword: a.sentinelPassword,
			Username: a.user, Password: a.password, DB: a.database, TLSConfig: a.tls(), Protocol: 2,
			DialTimeout: dialTimeout, ReadTimeout: replyTimeout, WriteTimeout: replyTimeout, ContextTimeoutEnabled: true,
			MaxRetries: -1, DialerRetries: 1, PoolSize: 2, DisableIdentity: true,
		})
	case redisCluster:
		// The stream is a key, and so on one of the masters: the library asks where. It may send an entry twice, which those who read it notice.
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: a.hosts, Username: a.user, Password: a.password, TLSConfig: a.tls(), Protocol: 2,
			DialTimeout: dialTimeout, ReadTimeout: replyTimeout, WriteTimeout: replyTimeout, ContextTimeoutEnabled: true,
			MaxRetries: -1, DialerRetries: 1, PoolSize: 2, DisableIdentity: true, MaintNotificationsConfig: quiet,
		})
	}
	return redis.NewClient(&redis.Options{
		Addr: a.hosts[0], Username: a.user, Password: a.password, DB: a.database, TLSConfig: a.tls(), Protocol: 2,
		DialTimeout: dialTimeout, ReadTimeout: replyTimeout, WriteTimeout: replyTimeout, ContextTimeoutEnabled: true,
		MaxRetries: -1, DialerRetries: 1, PoolSize: 2, DisableIdentity: true, MaintNotificationsConfig: quiet,
	})
}

func (s *redisSession) close() { s.client.Close() }

// about makes sure that the stream exists: otherwise its first entry could not be told from one of an older stream.
func (s *redisSession) about(ctx context.Context) (about, error) {
	n, err := s.client.Exists(ctx, s.stream).Result()
	if err == nil && n == 0 {
		err = s.client.XAdd(ctx, &redis.XAddArgs{Stream: s.stream, Values: []string{redisField, ""}}).Err()
	}
	if err != nil {
		return about{}, err
	}
	info, err := s.client.XInfoStream(ctx, s.stream).Result()
	if err != nil {
		return about{}, err
	}
	a := about{name: redisName}
	if a.last, err = numberOf(info.LastGeneratedID); err != nil {
		return about{}, err
	}
	if a.first = a.last + 1; info.Length > 0 {
		a.first, err = numberOf(info.FirstEntry.ID)
	}
	return a, err
}

func (s *redisSession) append(ctx context.Context, b *batch) error {
	args := redis.XAddArgs{Stream: s.stream, Values: []any{redisField, b.append(nil)}}
	if begin := s.window.begins(); begin > 0 {
		args.MinID, args.Approx = idOf(begin), true
	}
	return s.client.XAdd(ctx, &args).Err()
}

func (s *redisSession) follow(ctx context.Context, after uint64, fn func(e *entry) error) error {
	for {
		got, err := s.client.XRead(ctx, &redis.XReadArgs{Streams: []string{s.stream, idOf(after)}, Count: redisRead, Block: redisBlock}).Result()
		switch {
		case errors.Is(err, redis.Nil):
			continue
		case err != nil:
			return err
		case len(got) != 1 || len(got[0].Messages) == 0:
			return io.ErrUnexpectedEOF
		}
		for _, m := range got[0].Messages {
			e, err := s.entryOf(&m)
			if err == nil {
				err = fn(e)
			}
			if err != nil {
				return err
			}
			after = e.number
		}
	}
}

func (s *redisSession) entryOf(m *redis.XMessage) (*entry, error) {
	number, err := numberOf(m.ID)
	if err != nil {
		return nil, err
	}
	data, _ := m.Values[redisField].(string)
	s.window.add(number, len(data))
	return &entry{number, int64(number >> redisCounterBits), []byte(data)}, nil
}

// numberOf is the number of the entry with an id: a time in milliseconds, "-", and a counter.
func numberOf(id string) (uint64, error) {
	ms, counter, _ := strings.Cut(id, "-")
	a, err := strconv.ParseUint(ms, 10, 64-redisCounterBits-placeBits)
	if err == nil {
		var b uint64
		if b, err = strconv.ParseUint(counter, 10, redisCounterBits); err == nil {
			return a<<redisCounterBits | b, nil
		}
	}
	return 0, fmt.Errorf("the stream has an entry %s", id)
}

func idOf(number uint64) string {
	return strconv.FormatUint(number>>redisCounterBits, 10) + "-" + strconv.FormatUint(number&(1<<redisCounterBits-1), 10)
}
