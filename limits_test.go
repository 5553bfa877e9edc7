package moonbridge_test

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const limitsDoc, limitsHeading = "docs/ARCHITECTURE.md", "## 6. Limits and their answers"

// inWords are the limits whose default has no number in it, and why. There is none at present.
var inWords = map[string]string{}

// TestLimitsTable checks that the code has the limits that docs/ARCHITECTURE.md lists: the places in the last column exist,
// and the numbers there are the numbers of the column "default", in the same order. No row is left out.
func TestLimitsTable(t *testing.T) {
	rows := tableUnder(t, limitsDoc, limitsHeading)
	checked := 0
	for _, row := range rows {
		if len(row) != 4 {
			t.Errorf("row %q has %d columns, want 4", row, len(row))
			continue
		}
		name, text, where := row[0], row[1], row[3]
		list, err := places(where)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checked += len(list)
		var inCode []quantity
		for _, p := range list {
			if err := p.find(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			q, err := p.value()
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			inCode = append(inCode, q)
		}
		if _, ok := inWords[name]; ok {
			continue
		}
		if inDoc := quantities(text); !slices.Equal(inDoc, inCode) {
			t.Errorf("%s: the default %q says %v, the code %v", name, text, inDoc, inCode)
		}
	}
	// A row that has slipped out of the table has its place in the section all the same.
	if n := len(placeOf.FindAllString(section(t, limitsDoc, limitsHeading), -1)); n != checked || n == 0 {
		t.Errorf("the section names %d places in the code, and the rows of its table %d", n, checked)
	}
	for name := range inWords {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[0] == name }) {
			t.Errorf("the table has no row %q", name)
		}
	}
}

// place is where a number stands: text, as in "bodyBytesDefault = 64 << 20", in a file.
type place struct{ file, text string }

var placeOf = regexp.MustCompile("`([^`: ]+\\.(?:go|h|c)): ([^`]+)`")

// places reads a last column: `file: text`, more than one separated by commas, and nothing else.
func places(cell string) (list []place, err error) {
	for _, m := range placeOf.FindAllStringSubmatch(cell, -1) {
		list = append(list, place{m[1], m[2]})
	}
	if rest := placeOf.ReplaceAllString(cell, ""); len(list) == 0 || strings.Trim(rest, ", ") != "" {
		return nil, fmt.Errorf("the column %q is not `file: text`", cell)
	}
	return list, nil
}

var blanks = regexp.MustCompile(`[ \t]+`)

// find checks that the file has the text, and that the number at its end ends there.
func (p place) find() error {
	source, err := os.ReadFile(p.file)
	if err != nil {
		return err
	}
	text := blanks.ReplaceAllString(string(source), " ") // gofmt aligns columns
	whole := regexp.MustCompile(`(?m)(?:^|[ (])` + regexp.QuoteMeta(p.text) + `(?:$|[,)]| //| /\*)`)
	if !whole.MatchString(text) {
		return fmt.Errorf("%s does not contain %q", p.file, p.text)
	}
	return nil
}

// quantity is a limit: a number of things or bytes, or a time in nanoseconds.
type quantity struct {
	n    int64
	time bool
}

func (q quantity) String() string {
	if q.time {
		return time.Duration(q.n).String()
	}
	return fmt.Sprint(q.n)
}

// nameOf is the name in front of a number: of a constant, of a field, or of a macro of C.
var nameOf = regexp.MustCompile(`^(\w+)(?: = |: | )`)

// value computes the number. A time is an expression with a unit of package time, or what has SECONDS in its name.
func (p place) value() (quantity, error) {
	name := nameOf.FindStringSubmatch(p.text)
	if name == nil {
		return quantity{}, fmt.Errorf("%q is not a name and a number", p.text)
	}
	expr := p.text[len(name[0]):]
	timed := strings.Contains(expr, "time.")
	expr = strings.NewReplacer("time.Millisecond", "1_000_000", "time.Second", "1_000_000_000", "time.Minute", "60_000_000_000").Replace(expr)
	expr = regexp.MustCompile(`\b(\d+)u\b`).ReplaceAllString(expr, "$1")
	got, err := types.Eval(token.NewFileSet(), nil, token.NoPos, expr)
	if err != nil || got.Value == nil {
		return quantity{}, fmt.Errorf("%q: no number: %v", p.text, err)
	}
	n, exact := constant.Int64Val(constant.ToInt(got.Value))
	if !exact {
		return quantity{}, fmt.Errorf("%q: %s is no integer", p.text, got.Value)
	}
	if strings.Contains(name[1], "SECONDS") {
		return quantity{n * int64(time.Second), true}, nil
	}
	return quantity{n, timed}, nil
}

var (
	inBackquotes = regexp.MustCompile("`[^`]*`")
	quantityOf   = regexp.MustCompile(`(\d+)(?: (KiB|MiB|GiB|ms|s)\b)?`)
	units        = map[string]quantity{
		"": {1, false}, "KiB": {1 << 10, false}, "MiB": {1 << 20, false}, "GiB": {1 << 30, false},
		"ms": {int64(time.Millisecond), true}, "s": {int64(time.Second), true},
	}
)

// quantities finds the numbers in a text for readers, with their units.
func quantities(text string) (list []quantity) {
	for _, m := range quantityOf.FindAllStringSubmatch(inBackquotes.ReplaceAllString(text, ""), -1) {
		var n int64
		fmt.Sscan(m[1], &n)
		unit := units[m[2]]
		list = append(list, quantity{n * unit.n, unit.time})
	}
	return list
}

func TestQuantities(t *testing.T) {
	tests := []struct {
		text string
		want []quantity
	}{
		{"64 KiB", []quantity{{64 << 10, false}}},
		{"4 GiB", []quantity{{4 << 30, false}}},
		{"1024 (`max_2`), at most 16 MiB", []quantity{{1024, false}, {16 << 20, false}}},
		{"from 100 ms to 2 s", []quantity{{100_000_000, true}, {2_000_000_000, true}}},
		{"8 to 64 bytes", []quantity{{8, false}, {64, false}}},
		{"none", nil},
	}
	for _, tt := range tests {
		if got := quantities(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.text, got, tt.want)
		}
	}
}

func TestPlaceValue(t *testing.T) {
	tests := []struct {
		text string
		want quantity
		ok   bool
	}{
		{"windowMax = 64 << 10", quantity{64 << 10, false}, true},
		{"lastRequest = time.Second", quantity{1_000_000_000, true}, true},
		{"QueueTimeout: 10 * time.Second", quantity{10_000_000_000, true}, true},
		{"PARCEL_SECONDS 60", quantity{60_000_000_000, true}, true},
		{"MB_PARAMS_MAX (1u << 16)", quantity{1 << 16, false}, true},
		{"every = 1_000_000_000", quantity{1_000_000_000, false}, true},
		{"windowMax = other", quantity{}, false},
		{"windowMax", quantity{}, false},
	}
	for _, tt := range tests {
		if got, err := (place{"x.go", tt.text}).value(); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}
