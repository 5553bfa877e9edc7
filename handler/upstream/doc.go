// Package upstream chooses the servers that a proxy sends requests to.
//
// Its nouns: a [Target] is what the user names, by its address. A [Set] is the targets of one service, which [Set.Replace] and
// [Set.Follow] change at any time. A [Server] is a target with its health and load. A [Balancer] chooses among those servers that
// may have a request; a [Picker] is a Set as one loop uses it, and [Picker.Pick] does the choosing. Each Pick is followed by a
// [Server.End], which says how the request has ended, and [Picker.Trial] says what a request that is given up has to tell.
//
// Health: a server that fails often is left out for a while (passive health), and then gets one request at a time until one
// succeeds. Health checks, if there are any, say whether it is up besides. Backups step in when too few are up; if none of
// them is up either, all servers count as up. A request that all which are up have failed goes to the others, too.
//
// Time is an argument of everything on the way of a request: the clock of the loops, in nanoseconds. What loops share is
// atomics; the locks are taken only after failures, and while requests wait in the queue.
//
// The package opens no connection, and knows HTTP only for the keys of Hash. Package handler/proxy does the rest.
package upstream
