package main

import (
	"fmt"
	"slices"
	"strings"
)

// choice is an option whose value is one of a few words.
type choice[T ~string] struct {
	to    *T
	kind  string // the name of its value in the help
	words []T
}

// choose returns the option for a value. Its default is the first word.
func choose[T ~string](to *T, kind string, words ...T) *choice[T] {
	*to = words[0]
	return &choice[T]{to, kind, words}
}

func (c *choice[T]) String() string { return string(*c.to) }
func (c *choice[T]) Type() string   { return c.kind }

func (c *choice[T]) Set(s string) error {
	if slices.Contains(c.words, T(s)) {
		*c.to = T(s)
		return nil
	}
	names := c.names()
	last := len(names) - 1
	return fmt.Errorf("%s or %s", strings.Join(names[:last], ", "), names[last])
}

func (c *choice[T]) names() (names []string) {
	for _, w := range c.words {
		names = append(names, string(w))
	}
	return names
}
