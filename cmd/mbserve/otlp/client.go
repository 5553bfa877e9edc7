package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"moonbridge/httpparse"
)

const (
	endpointDefault = "http://localhost:4318"
	tracesPath      = "/v1/traces"
	// timeoutDefault is how long a message is tried to be sent, unless OTEL_EXPORTER_OTLP_TIMEOUT says something else.
	timeoutDefault = 10 * time.Second
	// retryMin and retryMax are the pauses before another attempt. A collector may ask for other ones.
	retryMin = 200 * time.Millisecond
	retryMax = 3 * time.Second
	// answerMax is how many bytes of an answer are read.
	answerMax = 64 << 10
)

// client sends messages: it implements otlptrace.Client. One goroutine uses it.
type client struct {
	url     string
	shown   string // the same without what may be secret
	header  http.Header
	gzip    bool
	timeout time.Duration
	http    *http.Client
	context context.Context // ends when nothing more is to be sent
	cancel  context.CancelFunc
}

// env is the value of a variable: that for traces, or else that for all signals.
func env(name string) string {
	if v := strings.TrimSpace(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_" + name)); v != "" {
		return v
	}
	return strings.TrimSpace(os.Getenv("OTEL_EXPORTER_OTLP_" + name))
}

func newClient(endpoint, agent string) (c *client, err error) {
	c = &client{header: http.Header{"Content-Type": {"application/x-protobuf"}, "User-Agent": {agent}}}
	if c.url, err = endpointURL(endpoint); err != nil {
		return nil, err
	}
	if u, err := url.Parse(c.url); err == nil {
		u.User, u.RawQuery = nil, ""
		c.shown = u.String()
	}
	switch protocol := env("PROTOCOL"); protocol {
	case "", "http/protobuf":
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL=%q: only http/protobuf is supported", protocol)
	}
	switch compression := env("COMPRESSION"); compression {
	case "", "none":
	case "gzip":
		c.gzip = true
		c.header.Set("Content-Encoding", "gzip")
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_COMPRESSION=%q: gzip or none expected", compression)
	}
	if err := c.addHeaders(env("HEADERS")); err != nil {
		return nil, err
	}
	name := "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"
	if strings.TrimSpace(os.Getenv(name)) == "" {
		name = "OTEL_EXPORTER_OTLP_TIMEOUT"
	}
	if c.timeout, err = milliseconds(name, timeoutDefault); err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxConnsPerHost = 1, 1
	// All messages would go to a connection of HTTP/2 whose other end is gone without a word, until the system gives it up.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: min(c.timeout, timeoutDefault), PingTimeout: min(c.timeout, timeoutDefault)}
	if t.TLSClientConfig, err = tlsFromEnv(); err != nil {
		return nil, err
	}
	// A collector that redirects would get the secrets of the header somewhere else.
	c.http = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c.context, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// endpointURL is where traces go. What is given, or OTEL_EXPORTER_OTLP_ENDPOINT, is the beginning of it; OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
// is all of it.
func endpointURL(given string) (string, error) {
	whole := false
	if given == "" {
		if given = strings.TrimSpace(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")); given != "" {
			whole = true
		} else if given = strings.TrimSpace(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")); given == "" {
			given = endpointDefault
		}
	}
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		given = given[strings.LastIndexByte(given, '@')+1:] // there may be a password before it
		return "", fmt.Errorf("%.200q is no URL of a collector, as in http://127.0.0.1:4318", given)
	}
	if !whole && !strings.HasSuffix(u.Path, tracesPath) {
		u.Path = strings.TrimSuffix(u.Path, "/") + tracesPath
	}
	return u.String(), nil
}

// addHeaders adds fields in the form name=value,name=value, whose values are percent-encoded.
func (c *client) addHeaders(list string) error {
	for pair := range strings.SplitSeq(list, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		name = strings.TrimSpace(name)
		if !ok || err != nil || !httpparse.IsToken(name) || strings.ContainsFunc(value, isControl) {
			return errors.New("OTEL_EXPORTER_OTLP_HEADERS: name=value,name=value expected") // the value is a secret
		}
		c.header.Set(name, value)
	}
	return nil
}

// isControl reports whether a character cannot be in the value of a field (RFC 9110 §5.5).
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// tlsFromEnv is how servers are trusted, and what they are shown; nil: as usual.
func tlsFromEnv() (*tls.Config, error) {
	ca, cert, key := env("CERTIFICATE"), env("CLIENT_CERTIFICATE"), env("CLIENT_KEY")
	if ca == "" && cert == "" && key == "" {
		return nil, nil
	}
	config := new(tls.Config)
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s has no certificates", ca)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Start and Stop implement otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }
func (c *client) Stop(context.Context) error  { return nil }

// UploadTraces implements otlptrace.Client. It tries again if that may help, until the time is over.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire, this message is ExportTraceServiceRequest, whose package would bring gRPC with it.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	if c.gzip {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write(body)
		w.Close()
		body = b.Bytes()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		after, err := c.post(ctx, body)
		if err == nil || after < 0 {
			return err
		}
		t := time.NewTimer(max(pause, after))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

// post sends a message once. If it fails, after is when the collector wants to be asked again, or 0, or less than 0 if that does not help.
func (c *client) post(ctx context.Context, body []byte) (after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	req.Header = c.header.Clone()
	res, err := c.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		if ctx.Err() != nil {
			after = -1
		}
		return after, err
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, answerMax))
	switch res.StatusCode {
	case 200:
		return -1, rejected(answer)
	case 429, 502, 503, 504:
		after = retryAfter(res.Header)
	default:
		after = -1
		if res.StatusCode/100 == 2 {
			return -1, nil
		}
	}
	return after, fmt.Errorf("the collector answers %.100s", res.Status)
}

func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 || n > 3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// rejected returns the error that an answer has, if the collector has taken a message only in part: field 1 of ExportTraceServiceResponse,
// which has the number of spans in its field 1, and a text in its field 2.
func rejected(answer []byte) error {
	partial := field(answer, 1, protowire.BytesType)
	n, _ := protowire.ConsumeVarint(field(partial, 1, protowire.VarintType))
	if n == 0 {
		return nil
	}
	return fmt.Errorf("the collector rejects %d spans: %.200q", n, field(partial, 2, protowire.BytesType))
}

// field is the value of the first field of a message with this number and type; nil: there is none.
func field(message []byte, number protowire.Number, kind protowire.Type) []byte {
	for len(message) > 0 {
		got, gotKind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(got, gotKind, message)
		if size < 0 {
			return nil
		}
		value := message[:size]
		message = message[size:]
		if got != number || gotKind != kind {
			continue
		}
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		return value
	}
	return nil
}
