// Package static serves files without a worker: a backend that answers GET and HEAD for the paths of its rules, and passes everything
// else on to another backend.
//
// A [Rule] maps the paths below a prefix to the files below a directory, or one path to one file. The path of a request is
// normalized once ([Static] never sees a dot segment or an encoded slash), and the file is opened below the directory by the kernel
// (openat2), or by os.Root where the kernel cannot do that. So no path leads out of the directory.
//
// Everything that may wait for a disk is a lookup. Lookups run on a bounded number of goroutines for each rule, so that a
// directory that hangs leaves the others alone, and come back to the loop. What
// a lookup found is an entry: a file in up to four codings, a redirect, or that there is nothing. Entries are kept for a second
// or two, and then looked up again before they are used. Small files are kept in memory, larger ones as open descriptors. A
// request whose entry is fresh is answered on the loop.
//
// An entry belongs to the store, which all loops share, and is not changed any more, except for a few atomic marks. Each loop has
// a map of the entries that it has used. A descriptor is counted: it is closed when neither the store nor a response needs it.
//
// A file that lies compressed beside the original is sent to clients that accept it. Without one, the file is compressed by
// [Config.Encode] when a client first accepts it, in the background: until that is done, clients get the original.
package static
