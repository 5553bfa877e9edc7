// Package list has lists whose elements hold their own links, so that to add and to remove one allocates nothing and takes the same
// time in any list.
package list

import "iter"

// Links are the neighbours of an element: a field of it, one for each list that it can be in at the same time.
type Links[T any] struct{ prev, next *T }

// List is a list. Its methods are not safe for concurrent use.
type List[T any] struct {
	first, last *T
	len         int
	links       func(*T) *Links[T]
}

// New returns an empty list. links returns the field of an element that is for this list.
func New[T any](links func(*T) *Links[T]) List[T] { return List[T]{links: links} }

// Len is the number of elements.
func (l *List[T]) Len() int { return l.len }

// First returns the first element, or nil.
func (l *List[T]) First() *T { return l.first }

// Last returns the last element, or nil.
func (l *List[T]) Last() *T { return l.last }

// All goes through the elements from the first to the last. The element that it is at may be removed meanwhile.
func (l *List[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for e := l.first; e != nil; {
			next := l.links(e).next
			if !yield(e) {
				return
			}
			e = next
		}
	}
}

// PushFront makes e, which is not in the list, the first element.
func (l *List[T]) PushFront(e *T) {
	k := l.links(e)
	if k.next = l.first; k.next != nil {
		l.links(k.next).prev = e
	} else {
		l.last = e
	}
	l.first = e
	l.len++
}

// PushBack makes e, which is not in the list, the last element.
func (l *List[T]) PushBack(e *T) {
	k := l.links(e)
	if k.prev = l.last; k.prev != nil {
		l.links(k.prev).next = e
	} else {
		l.first = e
	}
	l.last = e
	l.len++
}

// Remove takes e, which is in the list, out of it.
func (l *List[T]) Remove(e *T) {
	k := l.links(e)
	if k.prev != nil {
		l.links(k.prev).next = k.next
	} else {
		l.first = k.next
	}
	if k.next != nil {
		l.links(k.next).prev = k.prev
	} else {
		l.last = k.prev
	}
	*k = Links[T]{}
	l.len--
}
