package main

import (
	goruntime "runtime"

	"github.com/open-policy-agent/opa/v1/ast"
	opaversion "github.com/open-policy-agent/opa/v1/version"
)

// check parses and compiles all Rego, as `opa check` does.
func check(r *Request) (any, error) {
	loaded, err := r.loaded(regoOnly)
	if err != nil {
		return nil, err
	}
	compiler, err := r.compiler()
	if err != nil {
		return nil, err
	}
	if compiler.Compile(loaded.ParsedModules()); compiler.Failed() {
		return nil, compiler.Errors
	}
	return nil, nil
}

// currentCapabilities is what `opa capabilities --current` prints.
func currentCapabilities(*Request) (any, error) {
	return ast.CapabilitiesForThisVersion(), nil
}

func version(*Request) (any, error) {
	return map[string]string{"opa": opaversion.Version, "go": goruntime.Version()}, nil
}
