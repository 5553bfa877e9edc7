// Package httpparse turns bytes into HTTP/1 requests.
package httpparse
