package workload

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ContentType is the Content-Type of all answers.
const ContentType = "text/plain"

// Hello is the answer to the workloads hello and blocking.
const Hello = "Hello, world!\n"

// Sleep is how long the handler of the workload blocking sleeps.
const Sleep = 2 * time.Millisecond

// rows is the number of rows of a page, which makes it about 4 KB.
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

// Args returns the arguments of a peer: ADDRESS WORKLOAD. It ends the program if they are different.
func Args() (address, name string) {
	if len(os.Args) != 3 {
		fmt.Fprintf(os.Stderr, "usage: %s ADDRESS hello|page|blocking|echo\n", os.Args[0])
		os.Exit(1)
	}
	return os.Args[1], os.Args[2]
}

// Fail reports an error and ends the program.
func Fail(err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
	os.Exit(1)
}
