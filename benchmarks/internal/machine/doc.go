// Package machine tells on what machine and with what versions a result was measured.
//
// Everything here is best effort: what cannot be found out is reported as "unknown" and is no error.
package machine
