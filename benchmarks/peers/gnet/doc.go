// Command gnet answers each request with the same bytes, on the event loops of gnet. It parses nothing: it counts the
// empty lines that end request heads. So it shows what gnet's loops can do without HTTP. It runs until a signal ends it.
package main
