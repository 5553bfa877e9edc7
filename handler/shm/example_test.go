package shm_test

import (
	"fmt"

	"moonbridge/handler/shm"
)

// The server's half of an exchange that no worker takes.
func ExampleQueue() {
	m, err := shm.Create(shm.Geometry{Loops: 1, Workers: 1, Cells: 4, InWindow: 64, OutWindow: 64})
	if err != nil {
		panic(err)
	}
	defer m.Close()

	const cell = 2
	in, window := m.InCell(0, cell)
	q := m.Queue(0)
	position := q.Next()
	in.Gen.Store(position) // which use of the cell this is
	in.InHead.Store(uint64(copy(window, "the request")))
	q.Push(cell)
	fmt.Println(q.Waiting(), "waiting")

	fmt.Println("withdrawn:", q.Withdraw(cell, position))
	fmt.Println(q.Settle(), "waiting")
	// Output:
	// 1 waiting
	// withdrawn: true
	// 0 waiting
}

// A window is a ring: what does not fit at its end goes on at its start.
func ExampleRing() {
	window := []byte("0123456789abcdef")
	a, b := shm.Ring(window, 30, 4) // bytes 30 to 33 since the exchange began
	fmt.Printf("%s %s\n", a, b)
	// Output: ef 01
}
