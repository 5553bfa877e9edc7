package parity

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// TestWebSocket talks to an echo of coder/websocket, directly and through httputil.ReverseProxy, each on both servers.
func TestWebSocket(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, data); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for _, s := range servers {
		address := s.start(t, echo)
		t.Run(s.name, func(t *testing.T) { talkWebSocket(t, "ws://"+address, nil) })
		for _, front := range servers {
			proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
			proxy.ErrorLog = log.New(io.Discard, "", 0)
			through := front.start(t, proxy)
			t.Run(s.name+" through "+front.name, func(t *testing.T) { talkWebSocket(t, "ws://"+through, nil) })
		}
	}
	t.Run("Moonbridge with TLS", func(t *testing.T) {
		lender := httptest.NewTLSServer(nil) // has a certificate and a client that trusts it
		defer lender.Close()
		address := startMoonbridgeTLS(t, echo, &tls.Config{Certificates: lender.TLS.Certificates})
		talkWebSocket(t, "wss://"+address, &websocket.DialOptions{HTTPClient: lender.Client()})
	})
}

// talkWebSocket has several connections with small and large messages.
func talkWebSocket(t *testing.T, url string, o *websocket.DialOptions) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	for i := range 4 {
		all.Go(func() {
			c, _, err := websocket.Dial(ctx, url, o)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.CloseNow()
			c.SetReadLimit(1 << 20)
			for _, size := range []int{1, 1000, 60_000} {
				text := fmt.Sprint(i, strings.Repeat("x", size))
				if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
					t.Error(err)
					return
				}
				if _, got, err := c.Read(ctx); err != nil || string(got) != text {
					t.Errorf("%d bytes: got %d, %v", len(text), len(got), err)
				}
			}
			if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Error(err)
			}
		})
	}
}
