// Package route chooses the backend of a request by its path.
//
// A [Rule] names a path, or all paths below one, and the backend that gets their requests. Of several rules that match, the one
// with the longest path counts. What no rule matches goes to another backend.
//
// Paths are compared in the form that package files gives them: percent-encoding is decoded once, and dot segments are removed.
// So a request cannot reach a backend by another spelling of its path, nor avoid one. Empty segments, and dot segments that are
// percent-encoded, stay what they are: //api/ and /x/%2e%2e/api/ are other paths than /api/.
//
// The backend gets the request as it was sent. If it passes requests on to a server that reads paths in another way, which may
// merge slashes for example, that server has to decide who may have what.
//
// A request whose body is in a file (backend.FileBackend) may be meant for a backend that takes no files. It then gets the body in
// parts, as if it arrived just now.
package route
