package upstream

// RoundRobin chooses the targets in turn, as often as their weights say, and spreads the turns of each evenly. Each loop has turns
// of its own, and begins with another target.
func RoundRobin() Balancer { return roundRobin{} }

type roundRobin struct{}

func (roundRobin) OnLoop(loop, _ int) LoopBalancer {
	return &turns{skip: loop, credit: make(map[*Server]int)}
}

// turns are smooth weighted turns: each choice gives every server credit in the amount of its share, and takes that of all from
// the one that is chosen, which is the one with the most credit.
type turns struct {
	noKey
	skip   int // turns left out at the beginning
	credit map[*Server]int
}

func (t *turns) Pick(c *Choice) int {
	for ; t.skip > 0; t.skip-- {
		t.turn(c)
	}
	if len(t.credit) > 2*len(c.Servers)+creditsSpare {
		t.forget(c.Servers)
	}
	return t.turn(c)
}

func (t *turns) turn(c *Choice) (best int) {
	sum, most := 0, 0
	for i, v := range c.Servers {
		share := v.Share(c.Now)
		sum += share
		credit := t.credit[v] + share
		t.credit[v] = credit
		if i == 0 || credit > most {
			best, most = i, credit
		}
	}
	t.credit[c.Servers[best]] = most - sum
	return best
}

// creditsSpare is how many servers more than there are may have credit before those that are gone are forgotten.
const creditsSpare = 64

func (t *turns) forget(servers []*Server) {
	kept := make(map[*Server]int, len(servers))
	for _, v := range servers {
		kept[v] = t.credit[v]
	}
	t.credit = kept
}
