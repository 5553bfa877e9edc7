package workload

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ContentType is the Content-Type of all answers but that of the workload json.
const ContentType = "text/plain"

// JSONType is the Content-Type of the workload json.
const JSONType = "application/json"

// Hello is the answer to the workload hello and those that differ from it only in what is around the handler.
const Hello = "Hello, world!\n"

// Large is the other answer of the handler sizes, to LargePath.
var Large = []byte(strings.Repeat("x", 100<<10))

// LargePath is the path of Large.
const LargePath = "/100k"

// Sleep is how long the handler of the workload blocking sleeps, and in the workload beside the handler of BlockingPath.
const Sleep = 2 * time.Millisecond

// BlockingPath is the path of the requests beside which the workload beside measures hello.
const BlockingPath = "/blocking"

// Greeting is the answer of the workload form to the field "name".
func Greeting(name string) string { return "Hello, " + name + "!\n" }

// FormField is the field of the form that is read.
const FormField = "name"

// DownloadBytes is the length of the answer of the workload download. It consists of copies of Piece.
const DownloadBytes = 10 << 20

// Piece is 64 KiB, what the handlers of upload and download handle at a time.
var Piece = []byte(strings.Repeat("0123456789abcdef", 4096))

// rows is the number of rows of a page, which makes it about 4 KB, and of items.
const rows = 50

// Page builds the page of the workload page: it concatenates each row and collects the rows in the usual Go way. The
// result is the same as that of scripts/rows.lua, byte for byte.
func Page() string {
	var page strings.Builder
	page.Grow(4096)
	page.WriteString("<!DOCTYPE html>\n<html><head><title>Stock</title></head><body><table>\n")
	for i := 1; i <= rows; i++ {
		n := strconv.Itoa(i)
		page.WriteString("<tr id=\"row" + n + "\"><td>" + n + "</td><td>Article number " + n + "</td><td>" +
			strconv.Itoa(i*7) + " pieces</td></tr>\n")
	}
	page.WriteString("</table></body></html>\n")
	return page.String()
}

// item is one element of the answer of the workload json, as in scripts/items.lua.
type item struct {
	ID        int      `json:"id"`
	Name      string   `json:"name"`
	Pieces    int      `json:"pieces"`
	Available bool     `json:"available"`
	Tags      []string `json:"tags"`
}

// JSON builds the items of the workload json and encodes them.
func JSON() []byte {
	items := make([]item, rows)
	for i := range items {
		n := i + 1
		items[i] = item{n, "Article number " + strconv.Itoa(n), n * 7, n%3 != 0, []string{"stock", "new"}}
	}
	text, err := json.Marshal(items)
	if err != nil {
		panic(err) // there is nothing in it that cannot be encoded
	}
	return text
}

// Fixed returns the bytes that servers send which do not look at requests, and whether they close the connection.
func Fixed(name string) (answer []byte, closes, ok bool) {
	head := "HTTP/1.1 200 OK\r\nDate: " + time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") +
		"\r\nContent-Type: " + ContentType + "\r\nContent-Length: " + strconv.Itoa(len(Hello)) + "\r\n"
	switch name {
	case "hello", "pipelined", "goserver":
	case "connection":
		closes = true
		head += "Connection: close\r\n"
	default:
		return nil, false, false
	}
	return []byte(head + "\r\n" + Hello), closes, true
}

// Certificate returns the files that follow the arguments of a peer which is to speak TLS, or nothing.
func Certificate() (cert, key string) {
	if len(os.Args) != 5 {
		return "", ""
	}
	return os.Args[3], os.Args[4]
}

// Args returns the arguments of a peer: ADDRESS HANDLER [CERT KEY], or of a proxy: ADDRESS UPSTREAM [CERT KEY]. It ends the program if they are different.
func Args() (address, name string) {
	if len(os.Args) != 3 && len(os.Args) != 5 {
		fmt.Fprintf(os.Stderr, "usage: %s ADDRESS HANDLER|UPSTREAM [CERT KEY]\n", os.Args[0])
		os.Exit(1)
	}
	return os.Args[1], os.Args[2]
}

// TargetTLS is how a proxy speaks TLS with its upstream, which has the certificate CERT; nil: it does not.
func TargetTLS() *tls.Config {
	if len(os.Args) != 5 {
		return nil
	}
	text, err := os.ReadFile(os.Args[3])
	if err != nil {
		Fail(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		Fail(fmt.Errorf("no certificate in %s", os.Args[3]))
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
}

// Handler is Args for a peer with these handlers. It ends the program if there is none with that name.
func Handler[H any](handlers map[string]H) (address string, h H) {
	address, name := Args()
	h, there := handlers[name]
	if !there {
		Fail(fmt.Errorf("unknown handler %q", name))
	}
	return address, h
}

// Fail reports an error and ends the program.
func Fail(err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
	os.Exit(1)
}
