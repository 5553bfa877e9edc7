package bus

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// passes wants two servers at an address to share channels, and their logs not to show what is secret.
func passes(t *testing.T, text string, secrets ...string) (a, b *node) {
	t.Helper()
	a, b = newNodeAt(t, patience, address(t, text), nil), newNodeAt(t, patience, address(t, text), nil)
	there := b.follow("", "x")
	for i := range 50 {
		a.publish("x", fmt.Sprint(i))
	}
	there.want(numbers(0, 50)...)
	for _, secret := range secrets {
		if strings.Contains(a.text.String(), secret) {
			t.Errorf("the log has %q: %s", secret, a.text)
		}
	}
	return a, b
}

// refused wants a server at an address to be told that it is not let in.
func refused(t *testing.T, text, why string) {
	t.Helper()
	n := newNodeAt(t, 0, address(t, text), nil)
	eventually(t, "it is refused", func() bool { return strings.Contains(n.text.String(), why) })
}

// natsLogin starts a NATS server whose configuration the program natsserver has made.
func natsLogin(t *testing.T, args ...string) (s *peer, dir string) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("go", append([]string{"-C", "natsserver", "run", ".", dir}, args...)...).CombinedOutput(); err != nil {
		t.Skipf("credentials cannot be made: %v: %s", err, out)
	}
	return startNATS(t, "-js", "-sd", t.TempDir(), "-c", filepath.Join(dir, "server.conf")), dir
}

func TestNATSCredentials(t *testing.T) {
	t.Parallel()
	s, dir := natsLogin(t)
	passes(t, "nats://"+s.addr+"?creds="+filepath.Join(dir, "user.creds"))
	refused(t, "nats://"+s.addr, "Authorization Violation")
	if _, err := ParseAddress("nats://a?creds=" + filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

func TestNATSKey(t *testing.T) {
	t.Parallel()
	s, dir := natsLogin(t, "nkey")
	seed, err := os.ReadFile(filepath.Join(dir, "user.nk"))
	if err != nil {
		t.Fatal(err)
	}
	passes(t, "nats://"+s.addr+"?nkey="+filepath.Join(dir, "user.nk"), string(seed))
	refused(t, "nats://"+s.addr, "Authorization Violation")
	if _, err := ParseAddress("nats://a?nkey=" + filepath.Join(dir, "server.conf")); err == nil || strings.Contains(err.Error(), "authorization {") {
		t.Error(err)
	}
}

// Both sides have certificates of an authority of their own.
func TestBusAuthorities(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	for name, at := range map[string]string{
		"redis": "rediss://" + startRedis(t, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "yes", "--tls-ca-cert-file", cert).addr,
		"nats":  "tls://" + startNATS(t, "-js", "-sd", t.TempDir(), "--tlsverify", "--tlscert", cert, "--tlskey", key, "--tlscacert", cert).addr,
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, at+"?ca="+cert+"&cert="+cert+"&key="+key)
			refused(t, at, "x509")
			refused(t, at+"?ca="+cert, "tls: certificate required")
		})
	}
	for parameters, want := range map[string]string{
		"ca=" + key: "no certificate is in it", "ca=" + cert + "x": "no such file", "cert=" + cert + "&key=" + cert: "private key",
	} {
		if _, err := ParseAddress("rediss://a?" + parameters); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", parameters, err, want)
		}
	}
}

// startSentinel starts a sentinel that watches a master with the name m.
func startSentinel(t *testing.T, master *peer) *peer {
	t.Helper()
	port, file := freePort(t), filepath.Join(t.TempDir(), "sentinel.conf")
	host, at, _ := strings.Cut(master.addr, ":")
	config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nrequirepass watched\nsentinel monitor m %s %s 1\nsentinel auth-pass m secret\n"+
		"sentinel down-after-milliseconds m 300\nsentinel failover-timeout m 3000\n", port, filepath.Dir(file), host, at)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return startPeer(t, port, master.program, "redis-sentinel", file, "--sentinel")
}

// The master is killed, and a replica takes over. No subscriber notices.
func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	login := []string{"--requirepass", "secret", "--masterauth", "secret"}
	master := startRedis(t, login...)
	host, port, _ := strings.Cut(master.addr, ":")
	replica := startRedis(t, append(login, "--replicaof", host+" "+port)...)
	sentinel := startSentinel(t, master)
	direct := redis.NewClient(&redis.Options{Addr: replica.addr, Password: "secret", Protocol: 2})
	defer direct.Close()
	text := "redis+sentinel://:secret@127.0.0.1:1," + sentinel.addr + "/0?master=m&sentinel_password=watched"
	a, b := passes(t, text, "secret", "watched")
	there := b.follow("0", "x")
	eventually(t, "the replica has all", func() bool {
		ids := func(addr string) string {
			c := redis.NewClient(&redis.Options{Addr: addr, Password: "secret", Protocol: 2})
			defer c.Close()
			info, err := c.XInfoStream(t.Context(), "moonbridge").Result()
			if err != nil {
				return err.Error()
			}
			return info.LastGeneratedID
		}
		return ids(master.addr) == ids(replica.addr)
	})
	eventually(t, "the sentinel knows the replica", func() bool {
		c := redis.NewSentinelClient(&redis.Options{Addr: sentinel.addr, Password: "watched", Protocol: 2})
		defer c.Close()
		list, err := c.Replicas(t.Context(), "m").Result()
		return err == nil && len(list) == 1 && list[0]["flags"] == "slave" && list[0]["master-link-status"] == "ok"
	})
	master.end()
	for i := 50; i < 100; i++ {
		a.publish("x", fmt.Sprint(i))
	}
	there.want(numbers(0, 100)...)
	if there.slow || there.lost || b.Stats().Gaps != 0 {
		t.Errorf("told of a loss: %v, %v; log: %s", there.slow, there.lost, b.text)
	}
	if role, err := direct.Do(t.Context(), "role").Slice(); err != nil || role[0] != "master" {
		t.Errorf("the replica is %v, %v", role, err)
	}
	refused(t, strings.Replace(text, "watched", "wrong", 1), "sentinel")
}

// A cluster of two masters: the one that is asked first may not be the one that has the stream.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	node := func() (*peer, *redis.Client, string) {
		bus := freePort(t)
		r := startRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--requirepass", "secret", "--masterauth", "secret")
		c := redis.NewClient(&redis.Options{Addr: r.addr, Password: "secret", Protocol: 2})
		t.Cleanup(func() { c.Close() })
		return r, c, bus
	}
	first, one, _ := node()
	second, two, bus := node()
	ctx := context.Background()
	host, port, _ := strings.Cut(second.addr, ":")
	for _, err := range []error{
		one.ClusterAddSlotsRange(ctx, 0, 8191).Err(), two.ClusterAddSlotsRange(ctx, 8192, 16383).Err(), one.Do(ctx, "cluster", "meet", host, port, bus).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the cluster is ready", func() bool {
		for _, c := range []*redis.Client{one, two} {
			info, err := c.ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:2") {
				return false
			}
		}
		return true
	})
	for _, at := range []string{first.addr, second.addr} {
		passes(t, "redis+cluster://:secret@"+at+"?stream=s"+strings.ReplaceAll(at, ":", "")[9:], "secret")
	}
	refused(t, "redis+cluster://:wrong@"+first.addr, "WRONGPASS")
}
