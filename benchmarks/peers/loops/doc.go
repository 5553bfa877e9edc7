// Package loops serves the peers that are made of Moonbridge's own packages, on the event loops of its engine.
package loops
