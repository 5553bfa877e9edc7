package channel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule says how the channels of some names are. The zero value of a field stands for none.
type Rule struct {
	Pattern string // a name, or the start of names and "*"

	// What a history keeps: the last messages, as long as they are so few, so small together, and so young. 0 messages: there is no
	// history. 0 bytes and no time: the largest ones.
	Messages int
	Bytes    int
	Age      time.Duration

	Presence bool // keys of subscribers are kept

	// Slow is how long a subscriber may take nothing while messages wait for it. One that reads slowly, but steadily, goes on for as long as
	// the history has what it lacks. Default: 10 s.
	Slow time.Duration
}

// RulesMax is how many rules a hub may have.
const RulesMax = 256

// Bounds of rules.
const (
	historyMessages = 100_000
	historyBytes    = 64 << 20
	historyAge      = 604_800 * time.Second
	slowDefault     = 10 * time.Second
	slowMax         = 3600 * time.Second
)

// Bounds of names and messages, in bytes.
const (
	NameMax = 255
	DataMax = 256 << 10
	WordMax = 255 // an event, an id, or a key
)

// Errors of Publish, Subscribe and SetRules.
var (
	ErrName        = errors.New("the name of a channel has 1 to 255 bytes, without control characters and '*'")
	ErrData        = errors.New("the data of a message has at most 256 KiB")
	ErrWord        = errors.New("an event, an id and a key have at most 255 bytes, without control characters")
	ErrBusy        = errors.New("too many messages wait for their subscribers")
	ErrChannels    = errors.New("too many channels")
	ErrSubscribers = errors.New("too many subscribers")
	ErrRules       = errors.New("more than 256 patterns of channels")
	ErrMoved       = errors.New("another process has the messages now")
	ErrMany        = errors.New("too many channels for one subscriber")
)

// check completes a rule, and returns what is wrong with it.
func (r *Rule) check() error {
	prefix, _ := strings.CutSuffix(r.Pattern, "*")
	switch {
	case r.Pattern == "" || len(r.Pattern) > NameMax || prefix != "" && !validName(prefix):
		return fmt.Errorf("pattern %q: %w, and a '*' at the end", r.Pattern, ErrName)
	case r.Messages < 0 || r.Messages > historyMessages:
		return fmt.Errorf("a history has 0 to %d messages", historyMessages)
	case r.Bytes < 0 || r.Bytes > historyBytes:
		return fmt.Errorf("a history has 0 to %d bytes", historyBytes)
	case r.Age < 0 || r.Age > historyAge:
		return fmt.Errorf("a history has messages of 0 to %d seconds", historyAge/time.Second)
	case r.Slow < 0 || r.Slow > slowMax:
		return fmt.Errorf("a subscriber may be slow for 0 to %d seconds", slowMax/time.Second)
	}
	r.Bytes = cmp.Or(r.Bytes, historyBytes)
	r.Age = cmp.Or(r.Age, historyAge)
	r.Slow = cmp.Or(r.Slow, slowDefault)
	return nil
}

// CheckRule returns what is wrong with a rule.
func CheckRule(r Rule) error { return r.check() }

// CheckName returns ErrName unless a channel can have that name.
func CheckName(name string) error {
	if validName(name) {
		return nil
	}
	return ErrName
}

// matches reports whether the rule is for a name.
func (r *Rule) matches(name string) bool {
	if prefix, ok := strings.CutSuffix(r.Pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return r.Pattern == name
}

// SetRules replaces all rules. Of those that are for a name, the one with the longest pattern holds, and a name without "*"
// before all others. A channel takes its new rule when it is used next, or within seconds: then a history that is too long by it becomes
// shorter. So many channels keep nobody waiting.
func (h *Hub) SetRules(rules []Rule) error {
	rules = slices.Clone(rules)
	if len(rules) > RulesMax {
		return ErrRules
	}
	for i := range rules {
		if err := rules[i].check(); err != nil {
			return err
		}
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return rank(&b) - rank(&a) })
	made := make([]*Rule, len(rules))
	for i := range rules {
		made[i] = &rules[i]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rules = made
	h.ruled++
	return nil
}

// ruleFor is the rule of a channel.
func (h *Hub) ruleFor(c *channel) *Rule {
	if c.ruled != h.ruled {
		c.ruled, c.rule = h.ruled, h.ruleOf(c.name)
	}
	return c.rule
}

// rank orders patterns: the more a pattern says, the higher.
func rank(r *Rule) int {
	if strings.HasSuffix(r.Pattern, "*") {
		return len(r.Pattern)
	}
	return NameMax + 1
}

// noRule is what holds for a name without a rule.
var noRule = &Rule{Slow: slowDefault}

func (h *Hub) ruleOf(name string) *Rule {
	for _, r := range h.rules {
		if r.matches(name) {
			return r
		}
	}
	return noRule
}

// validName reports whether s can be the name of a channel.
func validName(s string) bool {
	return s != "" && len(s) <= NameMax && printable(s) && strings.IndexByte(s, '*') < 0
}

// printable reports whether s has no control characters: they would end a line of an event.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func (p *Post) check() error {
	if len(p.Data) > DataMax {
		return ErrData
	}
	for _, word := range [...]string{p.Event, p.ID, p.Key} {
		if len(word) > WordMax || !printable(word) {
			return ErrWord
		}
	}
	return nil
}
