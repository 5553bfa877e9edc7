package wstest

import "fmt"

// greek is a valid text of two- and three-byte sequences.
const greek = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"

// texts is chapter 6.
func (s *suite) texts() {
	s.echoes(0, "", "", "6.1.1", frame(Text, ""))
	s.echoes(0, "", "", "6.1.2", part(Text, ""), part(Continuation, ""), frame(Continuation, ""))
	s.echoes(0, "", "middle frame payload", "6.1.3", part(Text, ""), part(Continuation, "middle frame payload"), frame(Continuation, ""))
	const valid = "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"
	s.echoes(0, "", valid, "6.2.1", frame(Text, valid))
	s.echoes(0, "", valid, "6.2.2", part(Text, valid[:12]), frame(Continuation, valid[12:]))
	s.echoes(0, "", valid, "6.2.3", octets(valid)...)
	s.echoes(0, "", greek, "6.2.4", octets(greek)...)
	const broken = greek + "\xed\xa0\x80\x65\x64\x69\x74\x65\x64"
	s.fails(invalidPayload, 0, nil, "6.3.1", frame(Text, broken))
	s.fails(invalidPayload, 0, nil, "6.3.2", octets(broken)...)
	// The suite sends the rest after a pause. Here it is never sent: the server has to notice by then.
	const early = greek + "\xf4\x90\x80\x80\x65\x64\x69\x74\x65\x64"
	for i, upTo := range []int{15, 13} {
		from := []int{11, 12}[i]
		s.fails(invalidPayload, 0, nil, fmt.Sprintf("6.4.%d", 1+i), part(Text, early[:from]), part(Continuation, early[from:upTo]))
		s.add(func(c *Client) {
			whole := frame(Text, early).Append(nil)
			c.Raw(whole[:len(whole)-len(early)+from])
			c.Raw(whole[len(whole)-len(early)+from : len(whole)-len(early)+upTo])
			c.WantsClose(invalidPayload)
		}, "6.4.%d", 3+i)
	}
	for i, group := range sequences() {
		for j, seq := range group {
			id := fmt.Sprintf("6.%d.%d", 5+i, 1+j)
			if seq.valid {
				s.echoes(0, "", seq.text, id, frame(Text, seq.text))
			} else {
				s.fails(invalidPayload, 0, nil, id, frame(Text, seq.text))
			}
		}
	}
}

// octets are the frames of a text that is sent byte by byte.
func octets(text string) (frames []Frame) {
	for i := range len(text) {
		f := part(Continuation, text[i:i+1])
		if i == 0 {
			f.Opcode = Text
		}
		if i == len(text)-1 {
			f.Bits = Fin
		}
		frames = append(frames, f)
	}
	return frames
}

type sequence struct {
	valid bool
	text  string
}

func all(valid bool, texts ...string) (list []sequence) {
	for _, t := range texts {
		list = append(list, sequence{valid, t})
	}
	return list
}

// sequences are those of Markus Kuhn's UTF-8 test, in the groups 6.5 to 6.23 of the suite.
func sequences() [][]sequence {
	missing := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	joined := ""
	for _, m := range missing {
		joined += m
	}
	return [][]sequence{
		all(true, "hello\x24world", "hello\xC2\xA2world", "hello\xE2\x82\xACworld", "hello\xF0\xA4\xAD\xA2world", greek),
		prefixes(),
		all(true, "\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"),
		all(false, "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"),
		all(true, "\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"),
		all(false, "\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"),
		append(all(true, "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf"), all(false, "\xf4\x90\x80\x80")...),
		all(false, "\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", run(0x80, 0xbf, "")),
		all(false, run(0xc0, 0xdf, " "), run(0xe0, 0xef, " "), run(0xf0, 0xf7, " "), run(0xf8, 0xfb, " "), run(0xfc, 0xfd, " ")),
		all(false, missing...),
		all(false, joined),
		all(false, "\xfe", "\xff", "\xfe\xfe\xff\xff"),
		all(false, "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"),
		all(false, "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"),
		all(false, "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"),
		all(false, "\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"),
		all(false, "\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
			"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"),
		all(true, noncharacters()...),
		all(true, "\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf"),
	}
}

// prefixes are all beginnings of greek, of which those are valid that end between characters.
func prefixes() (list []sequence) {
	ends := map[int]bool{2: true, 5: true, 7: true, 9: true, 11: true}
	for n := 1; n <= len(greek); n++ {
		list = append(list, sequence{ends[n], greek[:n]})
	}
	return list
}

// run are the bytes from first to the one before last, each followed by sep.
func run(first, last int, sep string) (s string) {
	for c := first; c < last; c++ {
		s += string([]byte{byte(c)}) + sep
	}
	return s
}

// noncharacters are code points that are no characters, which may be sent all the same.
func noncharacters() []string {
	list := []string{"\xef\xbf\xbe", "\xef\xbf\xbf"}
	for plane := 1; plane <= 16; plane++ {
		list = append(list, string(rune(plane<<16|0xfffe)), string(rune(plane<<16|0xffff)))
	}
	return list
}
