// Command proxy passes requests on to an upstream with Moonbridge's handler/proxy, on the event loops of its engine. It runs
// until a signal ends it.
package main
