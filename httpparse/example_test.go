package httpparse_test

import (
	"fmt"

	"moonbridge/httpparse"
)

// Request heads arrive in pieces. The parser is called again with what was read so far.
func ExampleParser_Parse() {
	const received = "GET /a%20b?x=1 HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\nwhat follows"
	var (
		parser httpparse.Parser
		head   httpparse.Head
	)
	for _, buf := range [][]byte{[]byte(received[:30]), []byte(received)} {
		n, err := parser.Parse(&head, buf, nil)
		if err != nil {
			fmt.Println("answer with", err.(*httpparse.Error).Status)
			return
		}
		if n == 0 {
			fmt.Println("incomplete")
			continue
		}
		fmt.Printf("%s %s, query %s\n", head.Bytes(head.Method), head.Bytes(head.Path), head.Bytes(head.Query))
		for _, f := range head.Fields {
			fmt.Printf("%s = %s\n", head.Name(f), head.Value(f))
		}
		fmt.Printf("then %q\n", buf[n:])
	}
	// Output:
	// incomplete
	// GET a%20b, query ?x=1
	// Host = example.org
	// Accept = */*
	// then "what follows"
}

func ExampleParser_Parse_refused() {
	var head httpparse.Head
	_, err := new(httpparse.Parser).Parse(&head, []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), nil)
	refused := err.(*httpparse.Error)
	fmt.Println(refused.Status)
	// Output: 400
}

func ExampleForm() {
	form := httpparse.NewForm([]byte("name=J%C3%BCrgen&city=New+York&empty"), nil)
	for key, value, ok := form.Next(); ok; key, value, ok = form.Next() {
		fmt.Printf("%s: %q\n", key, value)
	}
	// Output:
	// name: "Jürgen"
	// city: "New York"
	// empty: ""
}

func ExampleCookies() {
	cookies := httpparse.NewCookies([]byte(`session="abc"; theme=dark`))
	for name, value, ok := cookies.Next(); ok; name, value, ok = cookies.Next() {
		fmt.Printf("%s: %s\n", name, value)
	}
	// Output:
	// session: abc
	// theme: dark
}

func ExampleList() {
	list := httpparse.NewList([]byte(`gzip;q=0.5, "a,b",, br`))
	for element, ok := list.Next(); ok; element, ok = list.Next() {
		fmt.Printf("%s\n", element)
	}
	// Output:
	// gzip;q=0.5
	// "a,b"
	// br
}

// A chunked body arrives in pieces, which may be cut anywhere.
func ExampleChunked() {
	var body httpparse.Chunked
	for _, piece := range []string{"5\r\nHel", "lo\r\n7\r\n, world\r\n0\r", "\n\r\nGET"} {
		buf := []byte(piece)
		for len(buf) > 0 {
			data, n, done, err := body.Next(buf)
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Printf("%q\n", data)
			buf = buf[n:]
			if done {
				fmt.Printf("%d bytes, then %q\n", body.Total(), buf)
				return
			}
		}
	}
	// Output:
	// "Hel"
	// "lo"
	// ", world"
	// ""
	// ""
	// 12 bytes, then "GET"
}

func ExampleMultipart() {
	boundary, ok := httpparse.MultipartBoundary([]byte(`multipart/form-data; boundary="=_1"`))
	if !ok {
		return
	}
	var form httpparse.Multipart
	if err := form.Reset(boundary); err != nil {
		fmt.Println(err)
		return
	}
	in := []byte("--=_1\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.txt\"\r\n\r\nHello\r\n--=_1--\r\n")
	for {
		event, data, n, err := form.Next(in)
		if err != nil {
			fmt.Println(err)
			return
		}
		in = in[n:]
		switch event {
		case httpparse.MultipartPart:
			fmt.Printf("%s: file %s\n", form.Part.Name, form.Part.FileName)
		case httpparse.MultipartData:
			fmt.Printf("%q\n", data)
		case httpparse.MultipartMore: // here the next piece of the body would be read
			fmt.Println(form.End())
			return
		}
	}
	// Output:
	// a: file a.txt
	// "Hello"
	// <nil>
}

// A response of another server, as a proxy reads it: the method of the request says what follows the head.
func ExampleResponseParser() {
	received := []byte("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Internal\r\nX-Internal: 1\r\nETag: \"a\"\r\n\r\n" +
		"5\r\nhello\r\n0\r\n\r\n")
	var (
		parser httpparse.ResponseParser
		r      httpparse.Response
		body   httpparse.ResponseBody
		hop    httpparse.Hop
	)
	for {
		n, err := parser.Parse(&r, received, httpparse.MethodOf([]byte("GET")), nil)
		if err != nil || n == 0 {
			fmt.Println("502, or wait for more bytes", err)
			return
		}
		fmt.Println(r.Status)
		received = received[n:] // the head is a view: it stays valid as long as these bytes do
		if !r.Interim() {
			break
		}
	}
	if err := hop.Reset(r.Raw, r.Fields); err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range r.Fields {
		fmt.Printf("%s: passed on %v\n", r.Name(f), !hop.Drop(r.Name(f)))
	}
	for body.BeginFrom(&r); body.Missing(); {
		data, n, err := body.Next(received)
		if err != nil {
			fmt.Println("reset the client:", err)
			return
		}
		fmt.Printf("%q ", data)
		received = received[n:]
	}
	fmt.Println("persistent:", r.Persistent)
	// Output:
	// 103
	// 200
	// Transfer-Encoding: passed on false
	// Connection: passed on false
	// X-Internal: passed on false
	// ETag: passed on true
	// "hello" "" persistent: true
}
