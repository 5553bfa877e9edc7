package files_test

import (
	"fmt"
	"strings"
	"time"

	"moonbridge/handler/files"
	"moonbridge/httpparse"
)

// A request for the first ten bytes of a file, if it is still the version that the client has.
func ExamplePlan() {
	modified := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	file := files.File{Size: 1000, Modified: modified.UnixNano()}
	now := modified.Add(time.Hour).UnixNano()

	request := files.Request{Get: true, Now: now, Conditions: httpparse.Conditions{
		Range: []byte("bytes=0-9"), IfRange: []byte(files.ETag(&file, now)),
	}}
	var p files.Plan
	p.Make(&request, &file, &files.Options{Type: files.TypeOf("notes.txt"), CacheControl: "no-cache"})
	fmt.Println(p.Status, p.Length, "bytes from", p.Parts[0].Offset)
	fmt.Print(strings.ReplaceAll(string(p.Fields), "\r", ""))
	// Output:
	// 206 10 bytes from 0
	// Content-Type: text/plain; charset=utf-8
	// Content-Range: bytes 0-9/1000
	// Last-Modified: Sat, 28 Nov 2026 12:00:00 GMT
	// ETag: "18ec33b417c68000-3e8"
	// Accept-Ranges: bytes
	// X-Content-Type-Options: nosniff
	// Cache-Control: no-cache
}
