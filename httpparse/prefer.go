package httpparse

import (
	"bytes"
	"strconv"
)

// PrefersJSON reports whether the client would rather have JSON than HTML (RFC 9110 §12.5.1): its Accept field names a JSON type, and
// likes it better than text/html.
func (h *Head) PrefersJSON() bool {
	json, html := 0.0, 0.0
	for _, f := range h.Fields {
		if f.NameLen != uint32(len("accept")) || !EqualFold(h.Raw[f.NameOff:f.NameOff+f.NameLen], "accept") {
			continue
		}
		for element := range bytes.SplitSeq(h.Raw[f.ValueOff:f.ValueOff+f.ValueLen], []byte(",")) {
			name, params, _ := bytes.Cut(element, []byte(";"))
			name = bytes.TrimSpace(name)
			switch {
			case isJSONType(name):
				json = max(json, quality(params))
			case EqualFold(name, "text/html"):
				html = max(html, quality(params))
			}
		}
	}
	return json > html
}

// isJSONType reports whether a media type is JSON: application/json, or one that ends in +json.
func isJSONType(name []byte) bool {
	const suffix = "+json"
	return EqualFold(name, "application/json") || len(name) > len(suffix) && EqualFold(name[len(name)-len(suffix):], suffix)
}

// quality is the q among the parameters of an element, 1 without it.
func quality(params []byte) float64 {
	for p := range bytes.SplitSeq(params, []byte(";")) {
		name, value, _ := bytes.Cut(p, []byte("="))
		if !EqualFold(bytes.TrimSpace(name), "q") {
			continue
		}
		value = bytes.TrimSpace(value)
		if q, err := strconv.ParseFloat(string(value[:min(len(value), 5)]), 64); err == nil && q >= 0 && q <= 1 {
			return q
		}
		return 0
	}
	return 1
}
