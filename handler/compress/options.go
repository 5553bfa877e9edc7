package compress

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"moonbridge/httpparse"
)

// Defaults of Options.
const (
	// MinBytesDefault: a smaller response fits into one packet anyway.
	MinBytesDefault = 1024
	// LevelDefault is where all three codings have most of what they can do for a small part of the time.
	LevelDefault = 5
	// LevelMax is the highest level.
	LevelMax = 9
)

// TypesDefault are the types that are compressed unless Options say otherwise. text/event-stream is not among them: each of
// its streams would hold an encoder as long as it is open, for messages that are too small to gain much.
var TypesDefault = []string{
	"text/*", "*+json", "*+xml", "*+text",
	"application/json", "application/javascript", "application/x-javascript", "application/xml", "application/x-ndjson",
	"application/wasm", "application/rtf", "application/sql", "application/yaml", "application/toml", "application/graphql",
	"application/vnd.ms-fontobject", "application/x-font-ttf", "font/ttf", "font/otf", "font/collection",
	"image/bmp", "image/x-icon", "image/vnd.microsoft.icon",
}

// eventStream is excepted from "text/*".
const eventStream = "text/event-stream"

// Options of a Backend. The zero value stands for the defaults.
type Options struct {
	// Types are the media types that are compressed: "text/html", "text/*" for all of a kind, or "*+json" for all with a
	// suffix. "text/*" does not include text/event-stream. nil: TypesDefault.
	Types []string
	// MinBytes is the size in bytes from which a response is compressed, if its size is known. 0: MinBytesDefault; negative:
	// any size.
	MinBytes int64
	// Level is from 1 (fast) to LevelMax (small). 0: LevelDefault.
	Level int
}

// Check returns an error if the options are invalid. Its text is for the author of the options.
func (o *Options) Check() error {
	if o.Level < 0 || o.Level > LevelMax {
		return fmt.Errorf("level %d is not from 1 to %d", o.Level, LevelMax)
	}
	for _, t := range o.Types {
		if !validType(t) {
			return fmt.Errorf("%.64q is not a media type, such as text/html, text/* or *+json", t)
		}
	}
	return nil
}

func validType(t string) bool {
	if suffix, ok := strings.CutPrefix(t, "*+"); ok {
		return httpparse.IsToken(suffix)
	}
	kind, sub, ok := strings.Cut(t, "/")
	return ok && httpparse.IsToken(kind) && httpparse.IsToken(sub) && kind != "*"
}

// rules are Options in the form that is asked for each response.
type rules struct {
	types    map[string]bool
	kinds    []string // with the slash
	suffixes []string // with the plus sign
	minBytes int64
	level    int
}

func (o *Options) rules() *rules {
	r := &rules{types: make(map[string]bool), minBytes: o.MinBytes, level: o.Level}
	r.minBytes = cmp.Or(r.minBytes, MinBytesDefault)
	r.level = cmp.Or(r.level, LevelDefault)
	types := o.Types
	if types == nil {
		types = TypesDefault
	}
	for _, t := range types {
		r.addType(strings.ToLower(t))
	}
	return r
}

func (r *rules) addType(t string) {
	if suffix, ok := strings.CutPrefix(t, "*"); ok {
		r.suffixes = append(r.suffixes, suffix)
	} else if kind, ok := strings.CutSuffix(t, "*"); ok {
		r.kinds = append(r.kinds, kind)
	} else {
		r.types[t] = true
	}
}

// typeBytesMax bounds the media types that are looked at.
const typeBytesMax = 128

// compressible reports whether a response with this Content-Type is compressed.
func (r *rules) compressible(contentType []byte) bool {
	var room [typeBytesMax]byte
	t := mediaType(room[:0], contentType)
	if len(t) == 0 {
		return false
	}
	if r.types[string(t)] {
		return true
	}
	if string(t) == eventStream {
		return false
	}
	has := func(part string) bool { return strings.HasPrefix(string(t), part) }
	ends := func(part string) bool { return strings.HasSuffix(string(t), part) }
	return slices.ContainsFunc(r.kinds, has) || slices.ContainsFunc(r.suffixes, ends)
}

// mediaType appends the type and subtype of a Content-Type in lower case. It returns nothing if they are too long.
func mediaType(dst, contentType []byte) []byte {
	n := bytes.IndexAny(contentType, "; \t")
	if n < 0 {
		n = len(contentType)
	}
	if n > cap(dst) {
		return nil
	}
	return httpparse.AppendLower(dst, contentType[:n])
}
