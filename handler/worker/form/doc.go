// Package form takes the form in a request body apart while it arrives, for the stream handlers and tables of a worker.
//
// Nouns: a [Parser] gets the pieces of one body, multipart or urlencoded, and writes down in [Records] what is in them: where
// a part begins and ends, and where its data lie in the piece. The worker's C code reads the records and calls Lua. So it
// takes one call of Go per piece, whatever the piece contains, and no Lua runs while Go does.
//
// The syntax of multipart bodies is that of httpparse.Multipart. Names and values of urlencoded forms are those that
// httpparse.Form finds.
//
// The package has no cgo and knows no Lua. A Parser holds no memory that grows with the body.
package form
