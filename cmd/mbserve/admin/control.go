package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// tokenMin is how many bytes a token has at least.
const tokenMin = 16

// tokenMax bounds the file of a token.
const tokenMax = 4 << 10

// ReadToken reads the token from a file. Blanks and line ends around it do not count.
func ReadToken(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s: all users can read it: chmod o= %s", name, name)
	}
	b, err := io.ReadAll(io.LimitReader(f, tokenMax+1))
	if err != nil {
		return nil, err
	}
	if len(b) > tokenMax {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, tokenMax)
	}
	token := bytes.TrimSpace(b)
	if len(token) < tokenMin {
		return nil, fmt.Errorf("%s: a token has at least %d bytes", name, tokenMin)
	}
	if bytes.ContainsAny(token, " \t\r\n") {
		return nil, errors.New(name + ": more than one word")
	}
	return token, nil
}

// order answers POST requests that have the token. A page of a foreign site cannot send it: a form has no field Authorization, and a
// script of another origin may not set it, because the answer to its question whether it may is 405.
func (s *Server) order(name string, do func()) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		switch {
		case s.c.Token == nil:
			writeText(w, http.StatusForbidden, "There are no orders: the server was started without --admin-token-file.\n")
		case !s.authorized(q):
			s.c.Log.Warn("admin: order without the token", "order", name, "client", q.RemoteAddr)
			w.Header().Set("WWW-Authenticate", `Bearer realm="moonbridge"`)
			writeText(w, http.StatusUnauthorized, "The token is missing or wrong.\n")
		default:
			s.c.Log.Info("admin: order", "order", name, "client", q.RemoteAddr)
			do()
			writeText(w, http.StatusAccepted, name+" begins\n")
		}
	}
}

// authorized compares hashes, so that the time it takes says nothing about the token.
func (s *Server) authorized(q *http.Request) bool {
	scheme, token, _ := strings.Cut(q.Header.Get("Authorization"), " ")
	given, own := sha256.Sum256([]byte(token)), sha256.Sum256(s.c.Token)
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(given[:], own[:]) == 1
}
