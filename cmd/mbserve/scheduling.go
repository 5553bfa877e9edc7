package main

import "errors"

// scheduling is the scheduling class of the event loops.
type scheduling string

const (
	schedulingBatch  scheduling = "batch"
	schedulingNormal scheduling = "normal"
)

func (c *scheduling) String() string { return string(*c) }
func (c *scheduling) Type() string   { return "CLASS" }

func (c *scheduling) Set(s string) error {
	switch scheduling(s) {
	case schedulingBatch, schedulingNormal:
		*c = scheduling(s)
		return nil
	}
	return errors.New("batch or normal")
}
