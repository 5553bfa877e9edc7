package acme

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// event is called by certmagic. What it returns would end what is going on.
func (k *Keeper) event(ctx context.Context, name string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	renewal, _ := data["renewal"].(bool)
	switch name {
	case "cert_obtaining":
		k.set(host, func(d *domain) { d.pauses = false })
		k.log.Debug("certificate is being obtained", "domain", host, "renewal", renewal)
	case "cert_obtained":
		k.set(host, func(d *domain) { d.err = "" })
		path, _ := data["certificate_path"].(string)
		k.obtained(ctx, host, path, renewal)
	case "cert_failed":
		err, _ := data["error"].(error)
		k.set(host, func(d *domain) { d.err = reason(err) })
		if remaining, _ := data["remaining"].(time.Duration); renewal {
			k.log.Error("certificate not renewed: the one in use stays in use", "domain", host, "err", reason(err),
				"until", time.Now().Add(remaining).Truncate(time.Second), "next", "within 6 hours, at first after 10 minutes")
		}
	}
	return nil
}

// obtained serves a certificate that was stored, and then says so. certmagic would serve it a little later.
func (k *Keeper) obtained(ctx context.Context, host, path string, renewal bool) {
	message := "certificate obtained"
	if renewal {
		message = "certificate renewed"
	}
	if _, err := k.config.Load().CacheManagedCertificate(ctx, host); err != nil {
		k.log.Error("stored certificate cannot be used", "domain", host, "err", err)
	}
	k.log.Info(message, "domain", host, "until", k.storedUntil(ctx, path))
}

// set changes what is known of a domain.
func (k *Keeper) set(host string, change func(d *domain)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d := k.domains[host]; d != nil {
		change(d)
	}
}

// storedUntil is until when a stored certificate is valid.
func (k *Keeper) storedUntil(ctx context.Context, path string) (until time.Time) {
	text, err := k.config.Load().Storage.Load(ctx, path)
	if err != nil {
		return until
	}
	if block, _ := pem.Decode(text); block != nil {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			until = cert.NotAfter
		}
	}
	return until
}

// reason is the text of an error, without the names of domains before it, which stand beside it.
func reason(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	for strings.HasPrefix(text, "[") {
		_, rest, ok := strings.Cut(text, "] ")
		if !ok {
			break
		}
		text = strings.TrimPrefix(strings.TrimPrefix(rest, "Obtain: "), "Renew: ")
	}
	return text
}

// core is a zapcore.Core that logs what certmagic says in the words of this server: what operators have to know, and the rest for
// debugging.
type core struct {
	k      *Keeper
	fields []zapcore.Field
}

func (k *Keeper) zapLogger() *zap.Logger { return zap.New(core{k: k}) }

// Enabled implements zapcore.Core.
func (c core) Enabled(l zapcore.Level) bool {
	return l >= zapcore.WarnLevel || c.k.log.Enabled(context.Background(), slog.LevelDebug)
}

// With implements zapcore.Core.
func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{c.k, append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

// Check implements zapcore.Core.
func (c core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Sync implements zapcore.Core.
func (core) Sync() error { return nil }

// Write implements zapcore.Core.
func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	m := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(m)
	}
	level := slog.LevelDebug
	switch {
	case e.Message == "will retry":
		c.k.failed(errorOf(fields), m.Fields)
	case e.Message == "challenge failed":
		c.k.log.Warn("challenge of the authority failed", "domain", m.Fields["identifier"], "challenge", m.Fields["challenge_type"],
			"err", problem(m.Fields))
	case e.Message == "job failed", e.Message == "initiating certificate management":
		c.k.ended(errorOf(fields), m.Fields)
	case toldBefore[e.Message]:
	case e.Level >= zapcore.ErrorLevel:
		level = slog.LevelError
	}
	c.k.log.Log(context.Background(), level, "certificates: "+e.Message, attributes(m.Fields)...)
	return nil
}

// toldBefore are errors that an event has told, with what operators have to know.
var toldBefore = map[string]bool{
	"could not get certificate from issuer": true,
	"validating authorization":              true,
}

// failed logs that a certificate was not obtained, and when that is tried again.
func (k *Keeper) failed(err error, fields map[string]any) {
	if isCancelled(err) {
		return
	}
	after, _ := fields["retrying_in"].(time.Duration)
	host := hostIn(err)
	k.set(host, func(d *domain) {
		if d.pauses, d.err = true, reason(err); d.again {
			after = 0
			k.begin(host)
		}
	})
	k.log.Error("certificate not obtained", "domain", host, "err", reason(err), "attempt", fields["attempt"],
		"next", time.Now().Add(after).Truncate(time.Second))
}

// ended logs that there will be no further attempt to obtain a certificate. (A renewal is tried again, which was logged, and an
// attempt may have been ended.)
func (k *Keeper) ended(err error, fields map[string]any) {
	text := err.Error()
	if strings.Contains(text, "] Renew: ") || isCancelled(err) {
		return
	}
	host, ok := fields["subject"].(string)
	if !ok {
		host, _, _ = strings.Cut(text, ": ")
	}
	text = strings.TrimPrefix(text, host+": ")
	k.set(host, func(d *domain) { d.pauses, d.err = true, text })
	k.log.Error("certificate not obtained", "domain", host, "err", text, "next", "at the next reload")
}

// isCancelled reports whether an attempt was ended. Not all errors on the way wrap their cause.
func isCancelled(err error) bool {
	return err != nil && strings.Contains(err.Error(), context.Canceled.Error())
}

// hostIn is the domain that begins the text of an error of certmagic: "[a.example] Obtain: …".
func hostIn(err error) string {
	if err == nil {
		return ""
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "["), "]")
	return host
}

func errorOf(fields []zapcore.Field) error {
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			return err
		}
	}
	return errors.New("unknown")
}

// problem is what an authority says (RFC 7807).
func problem(fields map[string]any) string {
	if p, ok := fields["problem"].(map[string]any); ok {
		return fmt.Sprint(p["detail"])
	}
	return fmt.Sprint(fields["problem"])
}

func attributes(fields map[string]any) (attrs []any) {
	for name, v := range fields {
		attrs = append(attrs, slog.Any(name, v))
	}
	return attrs
}

// lines passes the lines of package log on: certmagic uses it for panics, and when it finds that the server listens.
type lines struct{ to *slog.Logger }

func (l lines) Write(line []byte) (int, error) {
	l.to.Debug("certificates: " + string(bytes.TrimSpace(line)))
	return len(line), nil
}

var _ certmagic.Storage = storage{}
