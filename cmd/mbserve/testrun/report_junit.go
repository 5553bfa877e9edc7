package testrun

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// junit writes the XML that continuous integration systems know from JUnit.
type junit struct {
	w     io.Writer
	suite suite
}

type suite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	Time    string       `xml:"time,attr"`
	Failure *explanation `xml:"failure"`
	Error   *explanation `xml:"error"`
	Skipped *explanation `xml:"skipped"`
}

type explanation struct {
	Message string `xml:"message,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// NewJUnit returns a Reporter that writes XML when the tests have ended. name is that of the suite.
func NewJUnit(w io.Writer, name string) Reporter { return &junit{w: w, suite: suite{Name: name}} }

func (j *junit) Begin() {}

func (j *junit) Result(r *Result) {
	c := junitCase{Name: r.Name, Class: j.suite.Name, Time: seconds(r.Took)}
	switch r.Outcome {
	case Failed:
		first, _, _ := strings.Cut(r.text(), "\n")
		c.Failure = &explanation{Message: first, Text: strings.Join(r.lines(), "\n")}
	case Skipped:
		c.Skipped = &explanation{Message: r.Message}
	}
	j.suite.Cases = append(j.suite.Cases, c)
}

func (j *junit) End(c Counts, broken error, took time.Duration) error {
	s := &j.suite
	if broken != nil {
		s.Errors = 1
		s.Cases = append(s.Cases, junitCase{Name: "the tests could not be run", Class: s.Name, Time: seconds(0), Error: &explanation{Text: broken.Error()}})
	}
	s.Tests, s.Failures, s.Skipped, s.Time = len(s.Cases), c.Failed, c.Skipped, seconds(took)
	b, err := xml.MarshalIndent(struct {
		XMLName xml.Name `xml:"testsuites"`
		Suite   *suite
	}{Suite: s}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.w, "%s%s\n", xml.Header, b)
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
