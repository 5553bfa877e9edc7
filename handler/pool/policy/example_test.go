package policy_test

import (
	"fmt"
	"time"

	"moonbridge/handler/pool/listen"
	"moonbridge/handler/pool/policy"
)

// A pool that has just started forks its workers, and then looks again when something happens.
func ExamplePolicy_Decide() {
	options := listen.Defaults()
	options.MinFork, options.MaxFork = 2, 16

	var (
		p      policy.Policy
		census policy.Census
		now    = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	)
	fmt.Println("fork", p.Decide(&options, now, &census).Fork)

	census.Reset()
	for range 2 {
		p.Ready()
		census.Count(policy.Member{State: policy.Idle, IdleFrom: now})
	}
	fmt.Println("fork", p.Decide(&options, now, &census).Fork)
	// Output:
	// fork 2
	// fork 0
}
