package otlp

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// sampler decides which traces are recorded, as the samplers of OpenTelemetry do that have the same names.
type sampler struct {
	parentBased bool
	below       uint64 // of half the last eight bytes of an id
}

// newSampler makes one that follows its parents, and records a share of the traces that begin here. A ratio below 0 leaves that to
// OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.
func newSampler(ratio float64) (s sampler, err error) {
	s.parentBased = true
	if ratio < 0 {
		if s.parentBased, ratio, err = samplerFromEnv(); err != nil {
			return s, err
		}
	}
	if ratio >= 1 {
		s.below = 1 << 63
	} else {
		s.below = uint64(ratio * (1 << 63))
	}
	return s, nil
}

func samplerFromEnv() (parentBased bool, ratio float64, err error) {
	name := strings.ToLower(strings.TrimSpace(os.Getenv("OTEL_TRACES_SAMPLER")))
	if name == "" {
		return true, 1, nil
	}
	base, parentBased := strings.CutPrefix(name, "parentbased_")
	switch base {
	case "always_on":
		return parentBased, 1, nil
	case "always_off":
		return parentBased, 0, nil
	case "traceidratio":
		ratio, err := ratioFromEnv()
		return parentBased, ratio, err
	}
	return false, 0, fmt.Errorf("OTEL_TRACES_SAMPLER=%q: not supported", name)
}

func ratioFromEnv() (float64, error) {
	text := strings.TrimSpace(os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	if text == "" {
		return 1, nil
	}
	ratio, err := strconv.ParseFloat(text, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		return 0, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG=%q: a number from 0 to 1 expected", text)
	}
	return ratio, nil
}

// Sample implements engine.Tracing.Sample.
func (s *sampler) Sample(id [16]byte, begins, parent bool) bool {
	if s.parentBased && !begins {
		return parent
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < s.below
}
