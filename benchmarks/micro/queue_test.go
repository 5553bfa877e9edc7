package main

import (
	"testing"

	"moonbridge/handler/shm"
)

// BenchmarkQueue passes one exchange through the loop's end of the queue in shared memory: it is published, taken back as a
// worker would claim it, and the queue moves on.
func BenchmarkQueue(b *testing.B) {
	b.Run("exchange/ours", func(b *testing.B) {
		m, err := shm.Create(shm.Geometry{Loops: 1, Workers: 1, Cells: 64, InWindow: 64, OutWindow: 64})
		if err != nil {
			b.Fatal(err)
		}
		defer m.Close()
		q := m.Queue(0)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			cell, position := i%64, q.Next()
			q.Push(cell)
			if !q.Withdraw(cell, position) {
				b.Fatal("the exchange was not there")
			}
			if q.Settle() != 0 {
				b.Fatal("the queue is not empty")
			}
		}
	})
	b.Run("exchange/channel", func(b *testing.B) {
		c := make(chan int, 64)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c <- i
			<-c
		}
	})
}
