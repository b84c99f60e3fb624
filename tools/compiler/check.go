package main

import (
	goruntime "runtime"

	"github.com/open-policy-agent/opa/v1/ast"
	opaversion "github.com/open-policy-agent/opa/v1/version"
)

// check parses and compiles all Rego, as `opa check` does.
func check(r *Request) (any, error) {
	modules, err := r.modules()
	if err != nil {
		return nil, err
	}
	return nil, r.compile(modules, nil)
}

// currentCapabilities is what `opa capabilities --current` prints.
func currentCapabilities(*Request) (any, error) {
	return ast.CapabilitiesForThisVersion(), nil
}

func version(*Request) (any, error) {
	return map[string]string{"opa": opaversion.Version, "go": goruntime.Version()}, nil
}
