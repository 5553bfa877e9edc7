package filestest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
)

// Read reads a response to a request for a file with these contents, and checks that it is consistent: framing, ranges and bytes.
func Read(method string, r *http.Response, content []byte) (Answer, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", fmt.Errorf("body: %w", err)
	}
	switch {
	case method != "HEAD" && r.StatusCode != 304 && r.ContentLength >= 0 && r.ContentLength != int64(len(body)):
		return "", fmt.Errorf("%d bytes, announced %d", len(body), r.ContentLength)
	case (method == "HEAD" || r.StatusCode == 304) && len(body) > 0:
		return "", fmt.Errorf("%d bytes for %s with status %d", len(body), method, r.StatusCode)
	}
	status := strconv.Itoa(r.StatusCode)
	switch r.StatusCode {
	case 200:
		err = readWhole(method, r, body, content)
	case 206:
		return readPartial(method, r, body, content)
	case 304:
		if r.Header.Get("ETag") == "" {
			err = errors.New("304 without ETag")
		}
	case 416:
		if got, want := r.Header.Get("Content-Range"), fmt.Sprintf("bytes */%d", len(content)); got != want {
			err = fmt.Errorf("Content-Range %q, want %q", got, want)
		}
	}
	return Answer(status), err
}

func readWhole(method string, r *http.Response, body, content []byte) error {
	switch {
	case method != "HEAD" && !bytes.Equal(body, content):
		return errors.New("the body is not the file")
	case r.ContentLength != int64(len(content)):
		return fmt.Errorf("length %d of a file of %d bytes", r.ContentLength, len(content))
	case r.Header.Get("ETag") == "" || r.Header.Get("Last-Modified") == "" || r.Header.Get("Content-Range") != "":
		return fmt.Errorf("fields %v", r.Header)
	}
	return nil
}

func readPartial(method string, r *http.Response, body, content []byte) (Answer, error) {
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/byteranges" {
		text, err := checkRange(method, r.Header.Get("Content-Range"), body, content)
		return Answer("206 " + text), err
	}
	answer := "206"
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return Answer(answer), nil
		}
		if err != nil {
			return "", err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return "", err
		}
		text, err := checkRange(method, part.Header.Get("Content-Range"), data, content)
		if err != nil {
			return "", err
		}
		answer += " " + text
	}
}

// checkRange compares the bytes of a range with those of the file, and returns the range as "0-9".
func checkRange(method, field string, data, content []byte) (string, error) {
	text, size, ok := strings.Cut(strings.TrimPrefix(field, "bytes "), "/")
	first, last, dash := strings.Cut(text, "-")
	from, err1 := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	switch {
	case !ok || !dash || err1 != nil || err2 != nil || from > to || to >= len(content) || size != strconv.Itoa(len(content)):
		return "", fmt.Errorf("Content-Range %q of %d bytes", field, len(content))
	case method != "HEAD" && !bytes.Equal(data, content[from:to+1]):
		return "", fmt.Errorf("the bytes of %s are not those of the file", text)
	}
	return text, nil
}
