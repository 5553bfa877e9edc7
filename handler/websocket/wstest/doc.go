// Package wstest is a WebSocket client for tests, which can break the protocol in every way, and the cases of Autobahn's test suite
// for servers that echo (chapters 1 to 7, 9, 10, 12 and 13), written down again for it. It shares no code with the server.
package wstest
