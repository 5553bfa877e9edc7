package listen_test

import (
	"fmt"

	"moonbridge/handler/pool/listen"
	"moonbridge/handler/pool/listen/listentest"
)

// Entries are a scope (0 for the pool, or the number of a listener), a name, and a value.
func ExampleDecode() {
	spec, err := listen.Decode(listentest.Message(
		[3]any{0, "max_fork", 8},
		[3]any{1, "proto", "tcp4"}, [3]any{1, "port", 8080}, [3]any{1, "localhost", true},
		[3]any{1, "connect", listentest.Func{}},
	))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(spec.Options.MinFork, "to", spec.Options.MaxFork, "workers")
	for i := range spec.Listeners {
		l := &spec.Listeners[i]
		fmt.Println(l, "is to be opened as", l.Network(), l.Address())
	}
	// Output:
	// 2 to 8 workers
	// tcp4 127.0.0.1:8080 is to be opened as tcp4 127.0.0.1:8080
}

// A mistake becomes an error for the author of the script.
func ExampleDecode_mistake() {
	_, err := listen.Decode(listentest.Message(
		[3]any{0, "max_forks", 8},
		[3]any{1, "proto", "tcp4"}, [3]any{1, "port", 0}, [3]any{1, "connect", listentest.Func{}},
	))
	fmt.Println(err)
	// Output: unknown option "max_forks" (did you mean "max_fork"?)
}
