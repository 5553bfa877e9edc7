package upstream_test

import (
	"errors"
	"fmt"

	"moonbridge/handler/upstream"
)

// What a proxy does for each request, on its loop.
func Example() {
	set, err := upstream.New(upstream.Options{Balance: upstream.RoundRobin()},
		upstream.Target{Addr: "10.0.0.1:8080", Weight: 2},
		upstream.Target{Addr: "10.0.0.2:8080", Slots: 1},
	)
	if err != nil {
		panic(err)
	}
	picker := set.Picker(0, 1)
	now := int64(1)
	for range 4 {
		server, err := picker.Pick(now, 0, nil)
		if err != nil {
			panic(err)
		}
		fmt.Println(server.Addr())
		server.End(now, upstream.Fine)
	}
	_, err = picker.Pick(now, 0, set.Servers())
	fmt.Println(errors.Is(err, upstream.ErrNone))
	// Output:
	// 10.0.0.1:8080
	// 10.0.0.2:8080
	// 10.0.0.1:8080
	// 10.0.0.1:8080
	// true
}

// While no target is healthy, there is none for a request.
func ExampleOptions_onlyHealthy() {
	set, err := upstream.New(upstream.Options{
		OnlyHealthy: true,
		Active:      &upstream.Active{Path: "/health"},
	}, upstream.Targets("10.0.0.1:8080", "10.0.0.2:8080")...)
	if err != nil {
		panic(err)
	}
	for _, server := range set.Servers() {
		server.Checked(1, false) // what package proxy has found at /health
	}
	_, err = set.Picker(0, 1).Pick(1, 0, nil)
	fmt.Println(err)
	// Output: no target
}
