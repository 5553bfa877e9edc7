package upstream

import (
	"math"

	"moonbridge/httpparse"
)

// Hash sends requests with the same key to the same target, as long as that is up and does not have more than 1.25 times its share
// of all requests in progress: then the next one for the key gets them, so that a popular key does not overload its target. If a
// target comes or goes, only its own keys move (rendezvous hashing). Every proxy with the same targets chooses the same way.
//
// key is called on the loop, when a request arrives. HashField and HashPath make two. tcpproxy does not call it, since it sees no
// requests: there the key is the IP address of the client.
func Hash(key func(*httpparse.Head) uint64) Balancer { return hash{key} }

// loadBound is how much of its share a target of Hash may have.
const loadBound = 1.25

type hash struct{ key func(*httpparse.Head) uint64 }

func (b hash) OnLoop(int, int) LoopBalancer { return b }

func (b hash) Key(h *httpparse.Head) uint64 { return b.key(h) }

func (b hash) Pick(c *Choice) int {
	shares, active := 0, int64(1)
	for _, v := range c.Servers {
		shares += v.Share(c.Now)
		active += v.active.Load()
	}
	best, most := -1, 0.0
	for i, v := range c.Servers {
		bound := math.Ceil(loadBound * float64(active) * float64(v.Share(c.Now)) / float64(shares))
		if float64(v.active.Load()) >= bound {
			continue
		}
		if score := rendezvous(v, c.Key); best < 0 || score > most {
			best, most = i, score
		}
	}
	return max(best, 0)
}

// rendezvous is the score of a server for a key. The highest one wins, in the proportion of the weights: -weight / ln(u), where u
// is a random number between 0 and 1 that depends on both.
func rendezvous(v *Server, key uint64) float64 {
	u := (float64(mix(v.seed^key)>>11) + 0.5) / (1 << 53)
	return -float64(v.weight.Load()) / math.Log(u)
}

// mix makes each bit of the result depend on each bit of x (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// HashString returns a hash of s for a key of Hash. It is the same in every process.
func HashString[T string | []byte](s T) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// HashField makes a key for Hash of the value of a field, such as a session or a tenant. Requests without the field have the same
// key.
func HashField(name string) func(*httpparse.Head) uint64 {
	return func(h *httpparse.Head) uint64 {
		if i := h.Find(name, 0); i >= 0 {
			return HashString(h.Value(h.Fields[i]))
		}
		return 0
	}
}

// HashPath is a key for Hash: the path, without the query. It is for targets that keep a cache.
func HashPath(h *httpparse.Head) uint64 { return HashString(h.Bytes(h.Path)) }
