package listen

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"moonbridge/handler/shm"
)

// staticName is the option with the rules for files. Its table comes as entries of their own.
const staticName = "static"

// staticRulesMax bounds the rules of a pool: each request is compared with each of them.
const staticRulesMax = 256

// staticOptions are the options of a rule. The one without a name is the path of the files.
var staticOptions = map[string]func(r *StaticRule, v value) error{
	"":              setStaticPath,
	"max_age":       setMaxAge,
	"immutable":     func(r *StaticRule, v value) (err error) { r.Immutable, err = v.boolean(); return },
	"index":         setIndex,
	"listing":       func(r *StaticRule, v value) (err error) { r.Listing, err = v.boolean(); return },
	"dotfiles":      func(r *StaticRule, v value) (err error) { r.Dotfiles, err = v.boolean(); return },
	"symlinks":      func(r *StaticRule, v value) (err error) { r.Symlinks, err = v.boolean(); return },
	"missing":       setMissing,
	"precompressed": func(r *StaticRule, v value) (err error) { r.Precompressed, err = v.boolean(); return },
	"compress":      func(r *StaticRule, v value) (err error) { r.Compress, err = v.boolean(); return },
}

// setStatic sets one value of static: name is the prefix, a NUL, and the name of the option.
func (o *Options) setStatic(name string, v value) error {
	prefix, option, _ := strings.Cut(name, "\x00")
	at, found := slices.BinarySearchFunc(o.Static, prefix, func(r StaticRule, prefix string) int {
		return strings.Compare(r.Prefix, prefix)
	})
	if !found {
		if len(o.Static) == staticRulesMax {
			return fmt.Errorf("option static: more than %d paths", staticRulesMax)
		}
		o.Static = slices.Insert(o.Static, at, StaticRule{Prefix: prefix, Index: "index.html", Precompressed: true, Compress: true})
	}
	set := staticOptions[option]
	if set == nil {
		names := slices.DeleteFunc(slices.Collect(maps.Keys(staticOptions)), func(name string) bool { return name == "" })
		return unknown(fmt.Sprintf("option of static[%q]:", prefix), option, names)
	}
	if err := set(&o.Static[at], v); err != nil {
		if option != "" {
			err = fmt.Errorf("%s: %w", option, err)
		}
		return fmt.Errorf("option static: %q: %w", prefix, err)
	}
	return nil
}

func setStaticPath(r *StaticRule, v value) (err error) {
	if !v.is(shm.TypeString) {
		return v.wrong("the path of a file or directory, or a table")
	}
	r.Path, err = v.str()
	if err == nil && (r.Path == "" || strings.ContainsRune(r.Path, 0)) {
		err = fmt.Errorf("%.128q is not the path of a file or directory", r.Path)
	}
	return err
}

// setMaxAge: false is no Cache-Control.
func setMaxAge(r *StaticRule, v value) (err error) {
	r.MaxAge, err = v.duration()
	r.HasMaxAge = err == nil && !v.no()
	return err
}

// setIndex: false is none.
func setIndex(r *StaticRule, v value) (err error) {
	if v.no() {
		r.Index = ""
		return nil
	}
	if !v.is(shm.TypeString) {
		return v.wrong("name of a file or false")
	}
	r.Index = v.text
	if r.Index == "" || strings.ContainsAny(r.Index, "/\x00") {
		err = fmt.Errorf("%.64q is not the name of a file", r.Index)
	}
	return err
}

// setMissing: "handler", or 404.
func setMissing(r *StaticRule, v value) error {
	switch {
	case v.is(shm.TypeString) && v.text == "handler":
		r.NotFound = false
	case (v.is(shm.TypeNumber) || v.is(shm.TypeString)) && v.text == "404":
		r.NotFound = true
	default:
		return errors.New(`is "handler" or 404`)
	}
	return nil
}

// checkStatic checks what the rules need.
func (s *Spec) checkStatic() error {
	if len(s.Options.Static) == 0 {
		return nil
	}
	for i := range s.Options.Static {
		if r := &s.Options.Static[i]; r.Path == "" {
			return fmt.Errorf("option static: %q: there is no path of a file or directory", r.Prefix)
		}
	}
	if !slices.ContainsFunc(s.Listeners, func(l Listener) bool { return l.HTTP != nil }) {
		return errors.New("option static: no listener of the pool has an HTTP handler")
	}
	return nil
}
