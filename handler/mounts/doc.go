// Package mounts tells files on a local disk from those whose file system may wait for another machine, or for another program. What
// is done with the latter may take any time, and must not be done on a loop.
package mounts
