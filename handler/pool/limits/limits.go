// Package limits translates the options that a script has passed to http.generate_handler into limits of the engine, for a program that
// serves a pool of Lua workers.
package limits

import (
	"cmp"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/pool/listen"
	"moonbridge/httpparse"
)

// Of returns the limits of a listener with the HTTP options o (listen.Listener.HTTP), for Engine.Serve. A timeout of 0 is none there, and the
// default for the engine. Bodies with Content-Encoding: the engine refuses them if o.EncodedBody is EncodedRefuse. For EncodedDecode the caller
// has to wrap the backend (handler/compress) and set BodyCodings.
func Of(o *listen.HTTPOptions) engine.Limits {
	l := engine.Limits{
		HeadBytes:       max(1, o.RequestHeaderSizeLimit),
		BodyBytes:       max(1, o.RequestBodySizeLimit),
		IdleTimeout:     orNone(o.IdleTimeout),
		HeadTimeout:     orNone(o.RequestHeaderTimeout),
		StallTimeout:    orNone(o.StallTimeout),
		ResponseTimeout: orNone(o.ResponseTimeout),
		DrainTimeout:    orNone(o.DrainTimeout),
		SpoolBody:       !o.StreamBody,
		SpoolOutput:     o.BufferResponse,
		Fields:          o.StaticHeaders,
	}
	if o.StreamBody {
		l.BufferBody = -1 // the handler is called with whatever has arrived
	}
	if o.EncodedBody == listen.EncodedRefuse {
		l.BodyCodings = httpparse.CodingsOf(httpparse.Identity) // others are answered with 415
	}
	return l
}

func orNone(timeout time.Duration) time.Duration { return cmp.Or(timeout, -1) }
