package main

// scheduling is the scheduling class of the event loops.
type scheduling string

const (
	schedulingBatch  scheduling = "batch"
	schedulingNormal scheduling = "normal"
)
