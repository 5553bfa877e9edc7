package policy

// State is where a worker is in its life.
type State uint8

const (
	// Booting: the fork has been requested, or prepare runs. Next: Idle, Draining, Gone.
	Booting State = iota
	// Idle: it waits for exchanges, as far as the supervisor has seen. Next: Busy, Draining, Gone.
	Idle
	// Busy: it is at an exchange, as far as the supervisor has seen. Next: Idle, Draining, Gone.
	Busy
	// Draining: it takes no further exchange. It completes its exchange and runs finish, or it is being killed. Next: Gone.
	Draining
	// Gone: the process has ended. Its slot is free when every loop has reclaimed its cells.
	Gone

	// NumStates is the number of states.
	NumStates
)

var stateNames = [NumStates]string{"booting", "idle", "busy", "draining", "gone"}

// legal[from][to]: the moves that a worker can make.
var legal = [NumStates][NumStates]bool{
	Booting:  {Idle: true, Draining: true, Gone: true},
	Idle:     {Busy: true, Draining: true, Gone: true},
	Busy:     {Idle: true, Draining: true, Gone: true},
	Draining: {Gone: true},
}

func (s State) String() string { return stateNames[s] }

// Serving reports whether the worker takes exchanges.
func (s State) Serving() bool { return s == Idle || s == Busy }

// Alive reports whether there is a process, or may be one.
func (s State) Alive() bool { return s != Gone }

// CanBecome reports whether a worker may move from s to another state.
func (s State) CanBecome(to State) bool { return legal[s][to] }
