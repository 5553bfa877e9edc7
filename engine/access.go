package engine

import "moonbridge/handler/accesslog"

// Access describes one exchange on a connection, for a log. Its slices are views, valid until AccessLog returns.
type Access = accesslog.Entry
