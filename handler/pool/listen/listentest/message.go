package listentest

import (
	"strconv"
	"strings"

	"moonbridge/handler/shm"
)

// Types of values that Message takes besides string, int, float64 and bool.
type (
	// Func is a Lua function.
	Func struct{}
	// HTTP is a handler of generate_handler. It names options, "name=number\n" each; those that it does not name are 1,
	// except that on_client_gone, encoded_body, compress and cache are 0.
	HTTP string
	// HTTPText is the same with these options and no others.
	HTTPText string
	// Other is a value of another Lua type, which it names.
	Other string
)

// HTTPOptions are the names of the options of an HTTP handler.
var HTTPOptions = []string{"request_body_size_limit", "request_header_size_limit", "idle_timeout", "request_header_timeout",
	"stall_timeout", "response_timeout", "drain_timeout", "buffer_response", "stream_body", "on_client_gone", "client_gone_timeout",
	"encoded_body", "compress", "compress_min_bytes", "compress_level",
	"cache", "cache_bytes", "cache_entry_bytes", "cache_wait", "cache_status", "cache_directives"}

// complete adds the options that h does not name.
func (h HTTP) complete() string {
	text := string(h)
	for _, name := range []string{"on_client_gone=", "encoded_body=", "compress=", "cache="} {
		if !strings.Contains("\n"+text, "\n"+name) {
			text += name + "0\n"
		}
	}
	for _, name := range HTTPOptions {
		if !strings.Contains("\n"+text, "\n"+name+"=") {
			text += name + "=1\n"
		}
	}
	return text
}

// Listener is one TCP listener that serves HTTP on a free port.
var Listener = [][3]any{{1, "proto", "tcp4"}, {1, "port", 0}, {1, "connect", HTTP("")}}

// Message builds the message that a listen{} call sends. An entry is a scope (0 for the pool, or the number of a
// listener), a name, and a value.
func Message(entries ...[3]any) (msg []byte) {
	for _, e := range entries {
		key, val, typ := e[1].(string), "", uint32(shm.TypeNone)
		switch v := e[2].(type) {
		case string:
			val, typ = v, shm.TypeString
		case int:
			val, typ = strconv.Itoa(v), shm.TypeNumber
		case float64:
			val, typ = strconv.FormatFloat(v, 'g', 17, 64), shm.TypeNumber
		case bool:
			val, typ = "0", shm.TypeBool
			if v {
				val = "1"
			}
		case Func:
			typ = shm.TypeFunc
		case HTTP:
			val, typ = v.complete(), shm.TypeHTTP
		case HTTPText:
			val, typ = string(v), shm.TypeHTTP
		case Other:
			val, typ = string(v), shm.TypeOther
		}
		h := shm.Entry{Scope: uint32(e[0].(int)), KeyLen: uint32(len(key)), ValLen: uint32(len(val)), Type: typ}
		msg = append(append(append(msg, shm.Bytes(&h)...), key...), val...)
	}
	return msg
}
