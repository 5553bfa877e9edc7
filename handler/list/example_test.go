package list_test

import (
	"fmt"

	"moonbridge/handler/list"
)

// job can be in one list at a time, without an allocation for that.
type job struct {
	name    string
	waiting list.Links[job]
}

func Example() {
	queue := list.New(func(j *job) *list.Links[job] { return &j.waiting })
	a, b, c := &job{name: "a"}, &job{name: "b"}, &job{name: "c"}
	queue.PushBack(a)
	queue.PushBack(b)
	queue.PushFront(c)
	queue.Remove(a)
	for j := range queue.All() {
		fmt.Println(j.name)
	}
	// Output:
	// c
	// b
}
