// Command coder echoes WebSocket messages with the package coder/websocket, with compression.
//
//	coder [-listen ADDRESS]
package main
