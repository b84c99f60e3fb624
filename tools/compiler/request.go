package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/util"
)

// Request is one call. Which members matter depends on Op.
type Request struct {
	Op string `json:"op"`
	// Text by relative path. There is no other file system.
	Files map[string]string `json:"files"`
	// What OPA's command line would be given as paths; data is placed relative to them. Empty: every top-level name.
	Paths []string `json:"paths"`
	// A capabilities document; absent: all that this OPA knows.
	Capabilities json.RawMessage `json:"capabilities"`
	// A JSON Schema that types `input`.
	Schema json.RawMessage `json:"schema"`
	Strict bool            `json:"strict"`
	// Of a review: the files that are neither typed by the schema nor held to the capabilities.
	Tests []string `json:"tests"`

	Entrypoints []string `json:"entrypoints"`
	Revision    string   `json:"revision"`

	// Coverage of the rules by the tests.
	Coverage bool `json:"coverage"`
	// A regular expression on the full names of tests.
	Run string `json:"run"`

	Query string `json:"query"`
	// JSON text, so that numbers stay as they were written; absent: `input` is undefined.
	Input *string `json:"input"`
	// notes, fails, full or debug; empty: none.
	Trace string `json:"trace"`
	// Errors of built-ins end an evaluation instead of being undefined.
	StrictBuiltinErrors bool `json:"strict_builtin_errors"`
}

type verb func(*Request) (any, error)

var verbs map[string]verb

// Set here, since a verb may not name itself in its own initial value.
func init() {
	verbs = map[string]verb{
		"version":      version,
		"capabilities": currentCapabilities,
		"check":        check,
		"fmt":          formatFiles,
		"build":        build,
		"test":         test,
		"eval":         evaluate,
		"explain":      explain,
		"review":       review,
	}
}

func answerTo(text []byte) []byte {
	forgetUnused()
	result, err := perform(text)
	answer := map[string]any{"ok": err == nil, "errors": problemsOf(err)}
	if result != nil {
		answer["result"] = result
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answer); err != nil {
		return fmt.Appendf(nil, `{"ok":false,"errors":[{"code":"internal_error","message":%q}]}`, err.Error())
	}
	return out.Bytes()
}

func perform(text []byte) (result any, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			result, err = nil, fmt.Errorf("OPA panicked: %v", panicked)
		}
	}()
	var request Request
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return nil, fmt.Errorf("the request is malformed: %w", err)
	}
	run, known := verbs[request.Op]
	if !known {
		return nil, fmt.Errorf("op: %q is none of %s", request.Op, strings.Join(util.KeysSorted(verbs), ", "))
	}
	return run(&request)
}

func (r *Request) fs() fs.FS {
	files := fstest.MapFS{}
	for path, text := range r.Files {
		files[path] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return files
}

func (r *Request) roots() []string {
	if len(r.Paths) > 0 {
		return r.Paths
	}
	roots := map[string]bool{}
	for path := range r.Files {
		top, _, _ := strings.Cut(path, "/")
		roots[top] = true
	}
	return util.KeysSorted(roots)
}

func (r *Request) regoFiles() []string {
	return slices.DeleteFunc(util.KeysSorted(r.Files), func(path string) bool {
		return !strings.HasSuffix(path, ".rego")
	})
}

func (r *Request) capabilities() (*ast.Capabilities, error) {
	if isAbsent(r.Capabilities) {
		return ast.CapabilitiesForThisVersion(), nil
	}
	capabilities, err := ast.LoadCapabilitiesJSON(bytes.NewReader(r.Capabilities))
	if err != nil {
		return nil, fmt.Errorf("capabilities: %w", err)
	}
	return capabilities, nil
}

// loaded reads what lies below the roots; `only` leaves out what it refuses.
func (r *Request) loaded(only loader.Filter) (*loader.Result, error) {
	capabilities, err := r.capabilities()
	if err != nil {
		return nil, err
	}
	rego := []string{}
	others := func(path string, info fs.FileInfo, depth int) bool {
		if only != nil && only(path, info, depth) {
			return true
		}
		isRego := !info.IsDir() && strings.HasSuffix(path, ".rego")
		if isRego {
			rego = append(rego, path)
		}
		return isRego
	}
	result, err := loader.NewFileLoader().WithFS(r.fs()).Filtered(r.roots(), others)
	failures := []error{err}
	modules := map[string]*loader.RegoFile{}
	for _, path := range rego {
		module, err := r.parsed(path, capabilities)
		failures = append(failures, err)
		modules[path] = &loader.RegoFile{Name: path, Parsed: module, Raw: []byte(r.Files[path])}
	}
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	maps.Copy(result.Modules, modules)
	return result, nil
}

// compiler is set up as `opa check` and `opa test` set it up.
func (r *Request) compiler() (*ast.Compiler, error) {
	capabilities, err := r.capabilities()
	if err != nil {
		return nil, err
	}
	schemas, err := r.schemas()
	if err != nil {
		return nil, err
	}
	return ast.NewCompiler().
		SetErrorLimit(errorLimit).
		WithCapabilities(capabilities).
		WithSchemas(schemas).
		WithEnablePrintStatements(true).
		WithStrict(r.Strict).
		WithUseTypeCheckAnnotations(true), nil
}

const errorLimit = 100

func (r *Request) schemas() (*ast.SchemaSet, error) {
	if isAbsent(r.Schema) {
		return nil, nil
	}
	var schema any
	if err := util.UnmarshalJSON(r.Schema, &schema); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, schema)
	return schemas, nil
}

func isAbsent(value json.RawMessage) bool {
	return len(value) == 0 || string(value) == "null"
}

func regoOnly(path string, info fs.FileInfo, _ int) bool {
	return !info.IsDir() && !strings.HasSuffix(path, ".rego")
}
