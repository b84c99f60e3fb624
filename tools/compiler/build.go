package main

import (
	"bytes"
	"context"

	"github.com/open-policy-agent/opa/v1/compile"
)

// build gives the archive that `opa build -t wasm` writes, byte for byte.
func build(r *Request) (any, error) {
	capabilities, err := r.capabilities()
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	compiler := compile.New().
		WithFS(r.fs()).
		WithCapabilities(capabilities).
		WithTarget(compile.TargetWasm).
		WithOutput(&archive).
		WithEntrypoints(r.Entrypoints...).
		WithRegoAnnotationEntrypoints(true).
		WithPaths(r.roots()...)
	if r.Revision != "" {
		compiler = compiler.WithRevision(r.Revision)
	}
	if err := compiler.Build(context.Background()); err != nil {
		return nil, err
	}
	// JSON writes bytes as base64.
	return map[string]any{"bundle": archive.Bytes()}, nil
}
