package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/lineage"
)

func filterOf(mode string) (func([]*topdown.Event) []*topdown.Event, error) {
	switch mode {
	case "", "notes":
		return lineage.Notes, nil
	case "fails":
		return lineage.Fails, nil
	case "full":
		return lineage.Full, nil
	case "debug":
		return lineage.Debug, nil
	}
	return nil, fmt.Errorf("trace: %q is none of notes, fails, full, debug", mode)
}

// traceLines writes a trace as `opa eval --explain` prints it.
func traceLines(trace []*topdown.Event) []string {
	var out bytes.Buffer
	topdown.PrettyTraceWithLocation(&out, trace)
	text := strings.TrimRight(out.String(), "\n")
	if text == "" {
		return []string{}
	}
	return strings.Split(text, "\n")
}
