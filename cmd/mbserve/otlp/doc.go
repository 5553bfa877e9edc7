// Package otlp makes spans of exchanges, and sends them to a collector by OTLP over HTTP.
//
// An [Exporter] hears of each recorded exchange on the loop of the exchange ([Exporter.Record]). There it only copies what it needs into
// a bounded queue. A goroutine takes the copies from the queue, makes spans of them with the SDK of OpenTelemetry, and sends them. So a
// collector that hangs costs nothing but spans, which are counted.
//
// The exporter of OpenTelemetry for OTLP over HTTP links all of gRPC. Its part that makes messages of spans does not, and is used here;
// [client] sends them, under the same environment variables.
package otlp
