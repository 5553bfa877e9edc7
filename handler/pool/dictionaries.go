package pool

import (
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

const (
	// dictionariesMax bounds the shared dictionaries of a script.
	dictionariesMax = 64
	// dictionariesOwn are those of modules, besides.
	dictionariesOwn = 2
)

// Dictionaries are the shared dictionaries of scripts. A new generation of the script, or another process, can get those of
// the last one.
type Dictionaries struct {
	mu  sync.Mutex
	all []*dictionary // those that are in use, and those that wait for a first use; the newest last
}

// dictionary is one of them.
type dictionary struct {
	name  string
	keep  bool
	m     *shm.Dictionary
	hosts int // that have it
}

// NewDictionaries returns a Dictionaries without any.
func NewDictionaries() *Dictionaries { return &Dictionaries{} }

// Kept is a dictionary that another process gets.
type Kept struct {
	Name string
	*shm.Dictionary
}

// Kept returns the dictionaries that a new generation would get. The caller closes their files, which are duplicates.
func (d *Dictionaries) Kept() (kept []Kept, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, one := range d.all {
		if !one.keep || d.newest(one.name) != i {
			continue
		}
		fd, err := unix.FcntlInt(one.m.File.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return kept, os.NewSyscallError("dup", err)
		}
		m := *one.m
		m.File = os.NewFile(uintptr(fd), one.name)
		kept = append(kept, Kept{one.name, &m})
	}
	return kept, nil
}

// Adopt takes a dictionary of another process, and its file. It waits for a first use, until Settle.
func (d *Dictionaries) Adopt(k Kept) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, &dictionary{name: k.Name, keep: true, m: k.Dictionary})
}

// Settle lets go of the dictionaries that have been adopted and are not used.
func (d *Dictionaries) Settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(func(*dictionary) bool { return true })
}

// newest is the index of the newest dictionary of a name; -1: there is none.
func (d *Dictionaries) newest(name string) int {
	for i := len(d.all) - 1; i >= 0; i-- {
		if d.all[i].name == name {
			return i
		}
	}
	return -1
}

// drop closes those of a kind that no host has.
func (d *Dictionaries) drop(kind func(*dictionary) bool) {
	d.all = slices.DeleteFunc(d.all, func(one *dictionary) bool {
		if one.hosts > 0 || !kind(one) {
			return false
		}
		one.m.File.Close()
		return true
	})
}

// open returns the dictionary of the name for a host that does not have it yet: a kept one, or a new one. resized: there
// was one to keep, but of another size.
func (d *Dictionaries) open(name string, size uint64, keep bool) (one *dictionary, resized bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := d.newest(name); keep && i >= 0 && d.all[i].keep {
		one = d.all[i]
		if one.m.Size == size {
			one.hosts++
			return one, false, nil
		}
		resized = true
	}
	m, err := shm.CreateDictionary(size)
	if err != nil {
		return nil, false, err
	}
	one = &dictionary{name: name, keep: keep, m: m, hosts: 1}
	d.all = append(d.all, one)
	return one, resized, nil
}

// release gives back what a host had.
func (d *Dictionaries) release(have map[string]*dictionary) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range have {
		one.hosts--
	}
	d.drop(func(one *dictionary) bool { return have[one.name] == one })
}

// dictionary answers a call of shared().
func (fs *forkServer) dictionary(body []byte) error {
	m, err := as[shm.MsgDictionaryBody](body[:min(len(body), dictionaryBody)])
	if err != nil {
		return err
	}
	name := string(body[dictionaryBody:])
	if name == "" || len(name) > shm.DictionaryNameMax {
		return fmt.Errorf("%w: name of a dictionary", errMessage)
	}
	one, err := fs.h.dictionary(name, m.Size, m.Keep != 0)
	if err != nil {
		return fs.send(shm.MsgListenErr, []byte(err.Error()))
	}
	ok := shm.MsgDictionaryOKBody{Size: one.m.Size, Key: one.m.Key}
	return fs.send(shm.MsgDictionaryOK, shm.Bytes(&ok), int(one.m.File.Fd()))
}

// dictionaryBody is the size of what the name follows.
const dictionaryBody = 16

// dictionary returns the one of a name. A fork server that is started again gets what the first one had.
func (h *Host) dictionary(name string, size uint64, keep bool) (*dictionary, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one := h.dictionaries[name]; one != nil {
		if one.m.Size != size {
			return nil, fmt.Errorf("%q has %d bytes for the workers that run already, not %d", name, one.m.Size, size)
		}
		return one, nil
	}
	if h.released {
		return nil, errStopped
	}
	if len(h.dictionaries) == dictionariesMax+dictionariesOwn {
		return nil, fmt.Errorf("more than %d dictionaries", dictionariesMax)
	}
	one, resized, err := h.cfg.Dictionaries.open(name, size, keep)
	if err != nil {
		return nil, err
	}
	if resized {
		h.log.Warn("shared dictionary begins empty: it has another size than before", "name", name, "bytes", size)
	}
	if h.dictionaries == nil {
		h.dictionaries = make(map[string]*dictionary)
	}
	h.dictionaries[name] = one
	return one, nil
}

// Dictionary returns the memory of a shared dictionary that the script has opened, or nil. OpenDict of package worker maps
// it, before Stop; what it returns stays valid after that. The file belongs to the host.
func (h *Host) Dictionary(name string) *shm.Dictionary {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.dictionaries[name]
	if one == nil {
		return nil
	}
	return one.m
}

// releaseDictionaries lets go of the dictionaries when no process of the host has them any more.
func (h *Host) releaseDictionaries() {
	h.mu.Lock()
	have := h.dictionaries
	h.dictionaries, h.released = nil, true
	h.mu.Unlock()
	h.cfg.Dictionaries.release(have)
}
