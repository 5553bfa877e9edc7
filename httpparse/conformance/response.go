package conformance

import (
	"fmt"
	"strconv"
	"strings"
)

// ResponseCase is one connection to a server: the bytes that it sends, and what they are. A file of such cases has the keys of
// Case, except that request is replaced by
//
//	to: METHOD METHOD ...   the methods of the requests, in order; GET for all that follow the last one
//	response: STATUS reason
//
// A response is interim or final. It is followed by what else is to be seen of it, all optional:
//
//	body: trailer:   with the escapes of Case, decoded; the trailer section as sent
//	field: NAME VALUE   a field line that it has, with the escapes of Case
//	kind:   none, length, chunked, until-close or tunnel
//	persistent:   yes or no
//
// The last lines of a case are
//
//	want: end         all bytes are used, the connection can have another request
//	want: incomplete  the bytes end inside a response
//	want: open        the bytes end inside a body that ends with the connection: it is complete if the connection ends here
//	want: close       the last response was not persistent; further bytes are not looked at
//	want: tunnel      what follows the last head is not HTTP
//	want: reject REASON   what follows the responses is refused for this reason
//	theirs: PROJECT VERDICT   accept, incomplete or reject, for a case whose idea is from the tests of another project
//	differs: why   our verdict is a different one, and the reason
type ResponseCase struct {
	Where     string // file:line
	Name      string
	RFC       string
	To        []string
	Input     []byte
	Responses []WantResponse
	End       End
	Reason    string // if End is Reject
	Project   string // of theirs
	Theirs    string
	Differs   string
}

// WantResponse is one response of a ResponseCase. Want holds what is to be seen of it besides Status and Reason, by key,
// unescaped.
type WantResponse struct {
	Status int
	Reason string
	Fields [][2]string
	Want   map[string]string
}

// Ends of a connection to a server, besides those of Case.
const (
	Open   End = "open"
	Tunnel End = "tunnel"
)

// Verdict is the End in the words of other projects: accept, incomplete or reject.
func (e End) Verdict() string {
	switch e {
	case Incomplete, Reject:
		return string(e)
	}
	return "accept"
}

// LoadResponses reads all *.txt files of a directory as cases of responses.
func LoadResponses(dir string) (cases []ResponseCase, err error) {
	err = each(dir, func(name, text string) error {
		more, err := ParseResponses(name, text)
		cases = append(cases, more...)
		return err
	})
	return cases, err
}

// ParseResponses reads the text of one file of cases of responses. name is for ResponseCase.Where and errors.
func ParseResponses(name, text string) (cases []ResponseCase, err error) {
	err = blocks(name, text, func(where string) (block, func()) {
		c := &ResponseCase{Where: where}
		return c, func() { cases = append(cases, *c) }
	})
	return cases, err
}

func (c *ResponseCase) complete() error {
	switch {
	case c.Name == "" || c.RFC == "" || c.End == "" || len(c.Input) == 0:
		return fmt.Errorf("%s: a case needs case, rfc, in and want", c.Where)
	case c.Theirs == "" && c.Differs != "":
		return fmt.Errorf("%s: differs without theirs", c.Where)
	case c.Theirs != "" && (c.Theirs != c.End.Verdict()) != (c.Differs != ""):
		return fmt.Errorf("%s: differs belongs to a verdict that is not theirs", c.Where)
	}
	return nil
}

func (c *ResponseCase) set(key, value string) error {
	if c.End != "" {
		return c.setTheirs(key, value)
	}
	switch key {
	case "case":
		c.Name = value
	case "rfc":
		c.RFC = value
	case "to":
		c.To = strings.Fields(value)
	case "response":
		return c.addResponse(value)
	case "body", "trailer", "kind", "persistent", "field":
		if len(c.Responses) == 0 {
			return fmt.Errorf("%s before response", key)
		}
		return c.Responses[len(c.Responses)-1].set(key, value)
	case "want":
		return c.setEnd(value)
	default:
		return addInput(&c.Input, key, value)
	}
	return nil
}

func (c *ResponseCase) addResponse(value string) error {
	code, reason, _ := strings.Cut(value, " ")
	status, err := strconv.Atoi(code)
	if err != nil {
		return err
	}
	if reason, err = Unescape(reason); err != nil {
		return err
	}
	c.Responses = append(c.Responses, WantResponse{Status: status, Reason: reason, Want: map[string]string{}})
	return nil
}

func (w *WantResponse) set(key, value string) error {
	if value == `""` {
		value = ""
	}
	b, err := Unescape(value)
	if key == "field" {
		name, value, _ := strings.Cut(b, " ")
		w.Fields = append(w.Fields, [2]string{name, value})
		return err
	}
	w.Want[key] = b
	return err
}

func (c *ResponseCase) setEnd(value string) error {
	end, reason, _ := strings.Cut(value, " ")
	c.End, c.Reason = End(end), reason
	switch c.End {
	case AtEnd, Incomplete, Open, Close, Tunnel, Reject:
		if (c.End == Reject) != (reason != "") {
			return fmt.Errorf("%s with the reason %q", end, reason)
		}
		return nil
	}
	return fmt.Errorf("unknown end %q", end)
}

// setTheirs sets what follows the end of a case.
func (c *ResponseCase) setTheirs(key, value string) error {
	switch key {
	case "theirs":
		var ok bool
		if c.Project, c.Theirs, ok = strings.Cut(value, " "); !ok {
			return fmt.Errorf("theirs without a verdict")
		}
	case "differs":
		c.Differs = value
	default:
		return fmt.Errorf("%s after want", key)
	}
	return nil
}
