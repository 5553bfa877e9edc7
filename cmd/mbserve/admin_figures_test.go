package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"moonbridge/cmd/mbserve/metrics"
	"moonbridge/handler/logging"
)

// Causes that are equal when they are cut are one series: Prometheus refuses all figures if one comes twice.
func TestRefusalsCut(t *testing.T) {
	long := strings.Repeat("x", causeBytesMax-1)
	var r metrics.Registry
	r.Add(func(w *metrics.Writer) {
		writeRefusals(w, "0", map[logging.Event]uint64{
			{Message: "refused", Cause: long + "ä"}: 1, {Message: "refused", Cause: long + "€"}: 2, {Message: "refused", Cause: long + "?"}: 4, {Message: "refused"}: 8,
		})
	})
	answer := httptest.NewRecorder()
	r.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if text := answer.Body.String(); strings.Count(text, "\nmoonbridge_refusals_total{") != 2 || !strings.Contains(text, `what="refused",status="",cause="`+long+`?"} 7`) {
		t.Error(text)
	}
}
