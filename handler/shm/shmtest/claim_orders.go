package shmtest

import "slices"

// ClaimOrder is in which order a worker takes exchanges that wait on several loops, for the tests of both statements of that
// rule: the one in Go, and the one in C.
type ClaimOrder struct {
	Name  string
	Loops int
	Home  uint32
	Waits []Waiting // as they were published; those of a loop in the order of their times
	Want  []int     // indices of Waits; nil: not in a certain order
	Soon  int       // if not 0: Waits[0] is among the first Soon ones
}

// Waiting is an exchange that waits.
type Waiting struct {
	Loop      int
	Published int64 // in microseconds
}

// ClaimOrders are the cases. With more than 8 loops a worker looks at some of them before each claim.
var ClaimOrders = []ClaimOrder{
	{Name: "one loop", Loops: 1, Waits: []Waiting{{0, 5}, {0, 5}, {0, 9}}, Want: []int{0, 1, 2}},
	{Name: "the other loop is older", Loops: 2, Waits: []Waiting{{0, 5000}, {1, 3000}}, Want: []int{1, 0}},
	{Name: "hardly older", Loops: 2, Waits: []Waiting{{0, 5000}, {1, 4001}}, Want: []int{0, 1}},
	{Name: "home is another loop", Loops: 2, Home: 1, Waits: []Waiting{{0, 4001}, {1, 5000}}, Want: []int{1, 0}},
	{Name: "home has nothing", Loops: 3, Waits: []Waiting{{1, 900}, {2, 100}, {2, 901}}, Want: []int{1, 0, 2}},
	{Name: "all loops in turn", Loops: 3, Home: 2, Waits: []Waiting{{0, 2000}, {1, 4000}, {2, 9000}, {0, 12000}, {1, 6000}, {2, 9001}},
		Want: []int{0, 1, 4, 2, 5, 3}},
	{Name: "eight loops", Loops: 8, Home: 3, Waits: []Waiting{{0, 8000}, {1, 7000}, {2, 6000}, {3, 9001}, {4, 5000}, {5, 4000}, {6, 3000}, {7, 2000}},
		Want: []int{7, 6, 5, 4, 2, 1, 0, 3}},
	{Name: "the last of twenty loops", Loops: 20, Waits: append([]Waiting{{19, 1000}}, many(0, 12, 5000)...), Soon: 3},
	{Name: "a loop in the middle", Loops: 20, Home: 5, Waits: append([]Waiting{{11, 1000}}, many(5, 12, 5000)...), Soon: 3},
	{Name: "248 loops", Loops: 248, Waits: append([]Waiting{{100, 1000}}, many(0, 60, 5000)...), Soon: 36},
}

// many is n exchanges of one loop.
func many(loop, n int, at int64) (all []Waiting) {
	for range n {
		all = append(all, Waiting{loop, at})
	}
	return all
}

// Check says what is wrong about an order in which all of Waits were taken; "": nothing.
func (o *ClaimOrder) Check(got []int) string {
	if o.Want != nil {
		for i, want := range o.Want {
			if got[i] != want {
				return "another order"
			}
		}
		return ""
	}
	if slices.Contains(got[:o.Soon], 0) {
		return ""
	}
	return "the oldest one was taken late"
}
