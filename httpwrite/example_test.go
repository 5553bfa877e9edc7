package httpwrite_test

import (
	"errors"
	"fmt"
	"strings"

	"moonbridge/httpwrite"
)

// A whole response. Append allocates nothing if the slice has room.
func ExampleHead_Append() {
	const body = "Hello, world!\n"
	h := httpwrite.Head{
		Status: 200,
		Date:   httpwrite.AppendDate(nil, 784111777),
		Fields: httpwrite.AppendField(nil, "Content-Type", "text/plain"),
		Length: int64(len(body)),
		Close:  true,
	}
	response := append(h.Append(nil), body...)
	fmt.Print(strings.ReplaceAll(string(response), "\r\n", "\n"))
	// Output:
	// HTTP/1.1 200 OK
	// Date: Sun, 06 Nov 1994 08:49:37 GMT
	// Content-Type: text/plain
	// Content-Length: 14
	// Connection: close
	//
	// Hello, world!
}

func ExampleCheckField() {
	err := httpwrite.CheckField("Location", "/next\r\nSet-Cookie: a=b")
	fmt.Println(errors.Is(err, httpwrite.ErrFieldValue))
	// Output: true
}

func ExampleErrorPage() {
	page := httpwrite.ErrorPage{Status: 503, RetryAfter: 10, Unix: 784111777, Close: true}
	response := page.Append(nil)
	fmt.Print(strings.ReplaceAll(string(response), "\r\n", "\n"))
	// Output:
	// HTTP/1.1 503 Service Unavailable
	// Date: Sun, 06 Nov 1994 08:49:37 GMT
	// Content-Type: text/plain
	// Retry-After: 10
	// Content-Length: 20
	// Connection: close
	//
	// Service Unavailable
}

func ExampleDate() {
	var date httpwrite.Date // one for each loop or goroutine
	now := int64(5_000_000_000)
	first := string(date.At(now)) // reads the wall clock
	again := string(date.At(now)) // does not, before the next second
	fmt.Println(len(first) == httpwrite.DateLen, again == first)
	// Output: true true
}
