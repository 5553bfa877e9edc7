// Package hogs keeps the machine busy, as other programs on a shared machine do: with processes that compute without a
// pause, each pinned to a core and in a session of its own.
package hogs
