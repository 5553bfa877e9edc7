package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"moonbridge/handler/pool"
	"moonbridge/handler/shm"
)

// dictionariesEnv passes the shared dictionaries that are kept to a process that takes over: fields "FD/version/size/key/key/name",
// the keys and the name in hexadecimal. It is a variable of its own, so that an older program ignores it.
const dictionariesEnv = "MOONBRIDGE_DICTIONARIES"

// passDictionaries passes the files, and returns what dictionariesEnv says about them.
func (s *server) passDictionaries(pass *passing) (string, error) {
	kept, err := s.shared.Kept()
	var fields []string
	for _, k := range kept {
		pass.close = append(pass.close, k.File)
		fields = append(fields, fmt.Sprintf("%s/%d/%d/%x/%x/%x", pass.add(k.File), shm.DictionaryVersion, k.Size, k.Key[0], k.Key[1], k.Name))
	}
	return strings.Join(fields, " "), err
}

// adoptDictionaries takes over the dictionaries of the old process. One that cannot be used begins empty.
func (s *server) adoptDictionaries() {
	text := os.Getenv(dictionariesEnv)
	os.Unsetenv(dictionariesEnv)
	for field := range strings.FieldsSeq(text) {
		k, err := adoptedDictionary(field)
		if err != nil {
			s.log.Warn("shared dictionary begins empty: the old process has one that this one cannot use", "name", k.Name, "err", err)
			continue
		}
		s.shared.Adopt(k)
	}
}

// adoptedDictionary reads a field of dictionariesEnv. After an error the descriptor is closed, if there is one.
func adoptedDictionary(field string) (k pool.Kept, err error) {
	parts := strings.Split(field, "/")
	if len(parts) != 6 {
		return k, fmt.Errorf("%s: malformed", dictionariesEnv)
	}
	fd, err := strconv.Atoi(parts[0])
	if err != nil || fd < 3 {
		return k, fmt.Errorf("%s: malformed", dictionariesEnv)
	}
	syscall.CloseOnExec(fd)
	m := &shm.Dictionary{File: os.NewFile(uintptr(fd), "dictionary")}
	defer func() {
		if err != nil {
			m.File.Close()
		}
	}()
	name, err := hex.DecodeString(parts[5])
	if err != nil {
		return k, err
	}
	k = pool.Kept{Name: string(name), Dictionary: m}
	if version, err := strconv.Atoi(parts[1]); err != nil || version != shm.DictionaryVersion {
		return k, fmt.Errorf("its version is %s, not %d", parts[1], shm.DictionaryVersion)
	}
	if m.Size, err = strconv.ParseUint(parts[2], 10, 64); err != nil {
		return k, err
	}
	for i := range m.Key {
		if m.Key[i], err = strconv.ParseUint(parts[3+i], 16, 64); err != nil {
			return k, err
		}
	}
	about, err := m.File.Stat()
	if err == nil && uint64(about.Size()) != m.Size {
		err = fmt.Errorf("its file has %d bytes, not %d", about.Size(), m.Size)
	}
	return k, err
}
