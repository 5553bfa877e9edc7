package listen

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"moonbridge/handler/shm"
	"moonbridge/httpwrite"
)

// errorPageName is an option: false, true, or a function that makes the bodies of error responses. The fork server has called the function;
// each body comes as an entry whose key is the name, a NUL, and for example "404 html". Its value is the media type, a line end and the
// body.
const errorPageName = "error_page"

func (o *Options) setErrorPages(v value) error {
	on, err := v.boolean()
	if err != nil {
		return v.wrong("function or boolean")
	}
	o.HasErrorPages = on
	return nil
}

func (o *Options) addErrorPage(key string, v value) error {
	o.HasErrorPages = true
	if key == "" {
		return nil
	}
	digits, kind, _ := strings.Cut(key, " ")
	status, err := strconv.Atoi(digits)
	if err != nil || status < 400 || status > 599 || kind != "html" && kind != "json" || !v.is(shm.TypeString) {
		return errors.New("malformed message")
	}
	contentType, body, _ := strings.Cut(v.text, "\n")
	if !isMediaType(contentType) {
		return fmt.Errorf("option %s: %d (%s): %.64q is not a media type", errorPageName, status, kind, contentType)
	}
	o.ErrorPages = append(o.ErrorPages, httpwrite.ErrorBody{Status: status, JSON: kind == "json", ContentType: contentType, Body: body})
	return nil
}

// isMediaType reports whether a text can be the value of Content-Type.
func isMediaType(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	name, _, _ := strings.Cut(s, ";")
	major, minor, ok := strings.Cut(strings.TrimSpace(name), "/")
	return ok && major != "" && minor != "" && len(s) <= 128 && !strings.ContainsAny(name, ",()<>@\"[]?={}")
}

// sortErrorPages gives the bodies an order: that of the message is any.
func (o *Options) sortErrorPages() {
	slices.SortFunc(o.ErrorPages, func(a, b httpwrite.ErrorBody) int {
		if a.Status == b.Status && a.JSON != b.JSON {
			if a.JSON {
				return 1
			}
			return -1
		}
		return a.Status - b.Status
	})
}
