package filestest

import (
	_ "embed"
	"fmt"
	"strings"
	"time"
)

//go:embed testdata/cases.txt
var cases string

// Case is a request for a file, and what the answer is.
type Case struct {
	Line   int // in testdata/cases.txt
	Name   string
	RFC    string
	Method string
	File   string   // page, empty or young
	Fields []string // "Name: value", with places for what is known about the file; see Fill
	Want   Answer
	Nginx  Answer // what nginx answers; the same as Want unless there is a reason
	Why    string // the key of the reason
}

// Answer is a status and, for 206, the ranges: "206 0-9 500-509".
type Answer string

// Cases returns all cases.
func Cases() ([]Case, error) {
	var all []Case
	var c *Case
	number := 0
	for line := range strings.Lines(cases) {
		number++
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		if key == "case" {
			all = append(all, Case{Line: number, Name: value})
			c = &all[len(all)-1]
		}
		if err := c.set(key, value); err != nil {
			return nil, fmt.Errorf("cases.txt:%d: %w", number, err)
		}
	}
	for i := range all {
		if c := &all[i]; c.Nginx == "" {
			c.Nginx = c.Want
		}
	}
	return all, nil
}

func (c *Case) set(key, value string) error {
	switch key {
	case "case":
	case "rfc":
		c.RFC = value
	case "request":
		c.Method, c.File, _ = strings.Cut(value, " ")
	case "field":
		c.Fields = append(c.Fields, strings.ReplaceAll(value, `\t`, "\t"))
	case "want":
		c.Want = Answer(value)
	case "nginx":
		c.Nginx = Answer(value)
	case "why":
		c.Why = value
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

// Modified is when page and empty were modified.
var Modified = time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)

// Page returns the contents of page and young.
func Page() []byte {
	b := make([]byte, 0, 1000)
	for i := 0; len(b) < 1000; i++ {
		b = fmt.Appendf(b, "line %03d.\n", i)
	}
	return b
}

// Content returns the contents of a file.
func Content(file string) []byte {
	if file == "empty" {
		return nil
	}
	return Page()
}

// Fill returns the field lines of the case for a file with this entity tag and time.
func (c *Case) Fill(etag string, modified time.Time) []string {
	const layout = "Mon, 02 Jan 2006 15:04:05 GMT"
	modified = modified.UTC()
	filled := strings.NewReplacer(
		"W/{etag}", "W/"+strings.TrimPrefix(etag, "W/"), "w/{etag}", "w/"+strings.TrimPrefix(etag, "W/"), "{etag}", etag,
		"{date}", modified.Format(layout),
		"{before}", modified.Add(-time.Second).Format(layout),
		"{after}", modified.Add(time.Second).Format(layout),
		"{date850}", modified.Format("Monday, 02-Jan-06 15:04:05 GMT"),
		"{asctime}", modified.Format(time.ANSIC),
	)
	var fields []string
	for _, f := range c.Fields {
		fields = append(fields, filled.Replace(f))
	}
	return fields
}
