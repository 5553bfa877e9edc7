// Package policy decides how many workers a pool has.
//
// A Policy is asked with the options, the time, and a Census of the workers there are. It answers with a Decision: how many
// workers to fork, which ones to replace, which ones to end, and when to ask again. State is where a worker is in its life.
//
// It has no clock, no lock, and no process: the caller passes the time and carries out the decision. What could not be
// carried out shows in the next census. The tests run it in simulated time.
package policy
