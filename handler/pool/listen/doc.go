// Package listen turns the message of a listen{} call into a specification: the options of a pool and its listeners, checked
// and completed with defaults.
//
// Decode is the way in. Spec, Options, Listener and HTTPOptions are what comes out. A mistake in the script becomes an error
// whose text the script's author sees, with the nearest known name where a name is unknown.
//
// It opens nothing, starts no process, and takes no lock. The format of the message is that of handler/shm/layout.h.
package listen
