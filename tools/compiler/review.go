package main

import (
	"errors"
	"maps"

	"github.com/open-policy-agent/opa/v1/ast"
)

// review checks policies, held to the capabilities and typed by the schema, then the same with their tests, which may call
// all of OPA. Each file is parsed once. What compiles is told as Facts.
func review(r *Request) (any, error) {
	own, tests, all := *r, *r, *r
	own.Files, tests.Files = maps.Clone(r.Files), map[string]string{}
	for _, path := range r.Tests {
		delete(own.Files, path)
		tests.Files[path] = r.Files[path]
	}
	tests.Capabilities, all.Capabilities, all.Schema = nil, nil, nil

	modules, ownErr := own.modules()
	var testErr error
	if ownErr == nil {
		ownErr = own.compile(modules, nil)
		var more map[string]*ast.Module
		more, testErr = tests.modules()
		maps.Copy(modules, more)
	} else {
		// What the capabilities refuse may still parse.
		modules, testErr = all.modules()
	}
	facts := newFacts()
	if testErr == nil {
		testErr = all.compile(modules, facts)
	}
	return facts, errors.Join(ownErr, testErr)
}

func (r *Request) modules() (map[string]*ast.Module, error) {
	loaded, err := r.loaded(regoOnly)
	if err != nil {
		return nil, err
	}
	return loaded.ParsedModules(), nil
}

// compile leaves the modules as they are.
func (r *Request) compile(modules map[string]*ast.Module, facts *Facts) error {
	compiler, err := r.compiler()
	if err != nil {
		return err
	}
	if facts != nil {
		compiler.WithStageAfterID(ast.StageResolveRefs, ast.CompilerStageDefinition{
			Name:       "Facts",
			MetricName: "facts",
			Stage:      facts.collect,
		})
	}
	if compiler.Compile(modules); compiler.Failed() {
		return compiler.Errors
	}
	return nil
}
