// Command websocket measures WebSocket servers that echo, which have been started before: messages per second, and which of the cases of
// Autobahn's suite they pass.
//
//	go run ./websocket [-connections N] [-size BYTES] [-pipeline N] [-seconds S] [-rounds N] name=ws://host:port/path …
//	go run ./websocket -cases [-count N] [-most BYTES] name=ws://host:port/path …
//
// Each connection sends a message when the answer to the one before has come, or keeps that many on their way. The rounds of
// the servers alternate. ../scripts/websocket.lua is the script for mbserve.
package main
