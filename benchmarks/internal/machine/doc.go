// Package machine describes the machine and the versions of the tools with which a result was measured.
//
// Everything here is best effort: facts that cannot be determined are reported as "unknown", not as errors.
package machine
