// Package listentest builds the messages of listen{} calls for tests.
package listentest
