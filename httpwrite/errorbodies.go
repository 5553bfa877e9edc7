package httpwrite

import "fmt"

// ErrorPages are bodies for the responses of a server that it makes itself, in place of the reason phrase.
type ErrorPages struct {
	html, json map[int]errorBody
}

// ErrorBody is the body for a status.
type ErrorBody struct {
	Status      int
	JSON        bool   // for clients that would rather have JSON
	ContentType string // a valid field value
	Body        string
}

type errorBody struct{ contentType, text string }

// NewErrorPages returns the pages with these bodies. A client that would rather have JSON, and for whose status there is none, gets an
// object with the status and its reason phrase.
func NewErrorPages(bodies []ErrorBody) *ErrorPages {
	p := &ErrorPages{make(map[int]errorBody), make(map[int]errorBody)}
	for _, b := range bodies {
		to := p.html
		if b.JSON {
			to = p.json
		}
		to[b.Status] = errorBody{b.ContentType, b.Body}
	}
	return p
}

// body is the body for a status.
func (p *ErrorPages) body(status int, json bool) errorBody {
	if p != nil {
		if json {
			if b, ok := p.json[status]; ok {
				return b
			}
			return errorBody{"application/json", fmt.Sprintf("{\"error\":%q,\"status\":%d}\n", errorText(status), status)}
		}
		if b, ok := p.html[status]; ok {
			return b
		}
	}
	return errorBody{contentType: "text/plain"}
}
