package main

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// What the last call and this one parsed: whoever asks again and again has mostly the same files.
var lastParsed, nowParsed map[parseKey]parsedFile

type parseKey struct {
	path         string
	capabilities string
}

type parsedFile struct {
	text   string
	module *ast.Module
}

func forgetUnused() {
	lastParsed, nowParsed = nowParsed, map[parseKey]parsedFile{}
}

// parsed gives a module that must be left as it is; compilers work on copies.
func (r *Request) parsed(path string, capabilities *ast.Capabilities) (*ast.Module, error) {
	key := parseKey{path, string(r.Capabilities)}
	text := r.Files[path]
	for _, known := range []map[parseKey]parsedFile{nowParsed, lastParsed} {
		if file, isKnown := known[key]; isKnown && file.text == text {
			nowParsed[key] = file
			return file.module, nil
		}
	}
	options := ast.ParserOptions{ProcessAnnotation: true, Capabilities: capabilities}
	module, err := ast.ParseModuleWithOpts(path, text, options)
	if err != nil {
		return nil, err
	}
	nowParsed[key] = parsedFile{text, module}
	return module, nil
}
