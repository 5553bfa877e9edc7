//go:build !linux

package pool

// groupWays are those that only this system has.
var groupWays []groupWay
