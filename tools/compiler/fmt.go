package main

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// formatFiles gives each Rego file as `opa fmt` writes it. A file that does not parse is an error; the others are
// formatted all the same.
func formatFiles(r *Request) (any, error) {
	capabilities, err := r.capabilities()
	if err != nil {
		return nil, err
	}
	options := format.Opts{
		RegoVersion:   ast.DefaultRegoVersion,
		Capabilities:  capabilities,
		ParserOptions: &ast.ParserOptions{RegoVersion: ast.DefaultRegoVersion, Capabilities: capabilities},
	}
	formatted := map[string]string{}
	changed := []string{}
	failures := ast.Errors{}
	for _, path := range r.regoFiles() {
		text, err := format.SourceWithOpts(path, []byte(r.Files[path]), options)
		if err != nil {
			failures = append(failures, astErrors(path, err)...)
			continue
		}
		formatted[path] = string(text)
		if formatted[path] != r.Files[path] {
			changed = append(changed, path)
		}
	}
	result := map[string]any{"files": formatted, "changed": changed}
	if len(failures) > 0 {
		return result, failures
	}
	return result, nil
}

func astErrors(path string, err error) ast.Errors {
	switch err := err.(type) {
	case ast.Errors:
		return err
	case *ast.Error:
		return ast.Errors{err}
	}
	return ast.Errors{ast.NewError(ast.FormatErr, &ast.Location{File: path}, "%v", err)}
}
