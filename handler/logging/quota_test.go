package logging

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A burst is let through, then a number of records per second. Drops are reported a second later, even without another record.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []int
		q := NewQuota(2, 5, func(count int) { told = append(told, count) })
		allowed := func(n int) (k int) {
			for range n {
				if q.Allow() {
					k++
				}
			}
			return k
		}
		if n := allowed(10); n != 5 {
			t.Errorf("%d of a burst, want 5", n)
		}
		time.Sleep(tellEvery)
		synctest.Wait()
		if n := allowed(10); n != 2 {
			t.Errorf("%d after a second, want 2", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := allowed(10); n != 5 {
			t.Errorf("%d after an hour, want 5", n)
		}
		q.Flush()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := fmt.Sprint(told); got != "[5 8 5]" {
			t.Errorf("told %s", got)
		}
	})
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"": "", "abcd": "abcd", "abcde": "abcd…", "a\"\n\xff": `a\"\n\xff`} {
		if got := Quoted([]byte(in), 4); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
