package pool

import (
	"os"
	"testing"
)

func (d *Dictionaries) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}

// closed reports whether the file of a dictionary is closed.
func (one *dictionary) closed() bool {
	_, err := one.m.File.Stat()
	return err != nil
}

func TestDictionaries(t *testing.T) {
	d := NewDictionaries()
	open := func(name string, size uint64, keep, resized bool) *dictionary {
		t.Helper()
		one, was, err := d.open(name, size, keep)
		if err != nil || was != resized {
			t.Fatalf("%v, resized: %v", err, was)
		}
		return one
	}
	kept, own := open("kept", 1<<20, true, false), open("own", 1<<20, false, false)
	first := map[string]*dictionary{"kept": kept, "own": own}
	// The next generation.
	again, other := open("kept", 1<<20, true, false), open("own", 1<<20, false, false)
	if again != kept || other == own {
		t.Error("kept: another one; or own: the same one")
	}
	d.release(first)
	if kept.closed() || !own.closed() || d.count() != 2 {
		t.Errorf("kept closed: %v, own closed: %v, %d left", kept.closed(), own.closed(), d.count())
	}
	// One that wants another size, and then fails.
	larger := open("kept", 2<<20, true, true)
	d.release(map[string]*dictionary{"kept": larger})
	if larger == kept || !larger.closed() || kept.closed() {
		t.Error("another size")
	}
	if fresh := open("kept", 1<<20, false, false); fresh == kept {
		t.Error("a script that keeps nothing has got it")
	} else {
		d.release(map[string]*dictionary{"kept": fresh})
	}
	passed, err := d.Kept()
	if err != nil || len(passed) != 1 || passed[0].Name != "kept" || passed[0].Size != 1<<20 {
		t.Fatalf("%+v %v", passed, err)
	}
	d.release(map[string]*dictionary{"kept": again, "own": other})
	if d.count() != 0 || !kept.closed() {
		t.Errorf("%d left", d.count())
	}
	// Another process.
	heir := NewDictionaries()
	heir.Adopt(passed[0])
	one, _, err := heir.open("kept", 1<<20, true)
	if err != nil || one.m != passed[0].Dictionary {
		t.Errorf("%+v %v", one, err)
	}
	heir.Settle()
	if heir.count() != 1 {
		t.Error("in use, and dropped")
	}
	heir.release(map[string]*dictionary{"kept": one})
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	unused := *one.m
	unused.File = f
	heir.Adopt(Kept{"unused", &unused})
	heir.Settle()
	if heir.count() != 0 {
		t.Errorf("%d left", heir.count())
	}
}
