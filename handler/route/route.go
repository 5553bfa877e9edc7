package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"moonbridge/handler/backend"
	"moonbridge/handler/files"
)

// Rule says where the requests for a path go.
type Rule struct {
	// Path is the path of requests, decoded. If it ends in a slash, it stands for all paths that begin with it, otherwise for exactly
	// this one.
	Path string
	To   backend.Backend
}

// RulesMax bounds the rules: each request is compared with each of them.
const RulesMax = 512

// New makes a Backend that gives requests to the backends of rules, and others to next, which must not be nil. The error tells which
// rule is wrong.
func New(rules []Rule, next backend.Backend) (backend.Backend, error) {
	if len(rules) > RulesMax {
		return nil, fmt.Errorf("more than %d paths", RulesMax)
	}
	if next == nil {
		return nil, errors.New("no backend for other paths")
	}
	r := &router{rules: slices.Clone(rules), next: next}
	slices.SortStableFunc(r.rules, func(a, b Rule) int { return cmp.Compare(len(b.Path), len(a.Path)) })
	seen := make(map[string]bool)
	for _, rule := range rules {
		if err := Check(rule.Path); err != nil {
			return nil, fmt.Errorf("%q: %w", rule.Path, err)
		}
		if rule.To == nil {
			return nil, fmt.Errorf("%q: has no backend", rule.Path)
		}
		if seen[rule.Path] {
			return nil, fmt.Errorf("%q: is given twice", rule.Path)
		}
		seen[rule.Path] = true
	}
	return r, nil
}

// Check reports what is wrong with the path of a rule.
func Check(path string) error {
	if !strings.HasPrefix(path, "/") {
		return errors.New("does not begin with a slash")
	}
	var n files.Normalizer
	// A percent sign stands for itself in a rule, and must not be decoded here.
	if normal, ok := n.Normalize([]byte(strings.ReplaceAll(path, "%", "%25"))); !ok || string(normal) != path {
		return errors.New("is not a plain path: it has empty segments, dots, a backslash or a NUL")
	}
	return nil
}

// router is the Backend.
type router struct {
	rules []Rule // the longest path first
	next  backend.Backend
}

// Attach implements backend.Backend.
func (r *router) Attach(l backend.Loop) (backend.LoopBackend, error) {
	own := &loop{on: l}
	var err error
	if own.Wrapped, err = backend.AttachWrapped(r.next, l); err != nil {
		return nil, err
	}
	for _, rule := range r.rules {
		to, err := backend.AttachWrapped(rule.To, l)
		if err != nil {
			return nil, err
		}
		own.targets = append(own.targets, target{path: rule.Path, part: to})
	}
	if own.Files != nil {
		return &filesLoop{own}, nil
	}
	return own, nil
}
