package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

// evaluate answers a query as `opa eval` does: the result set is empty when it is undefined.
func evaluate(r *Request) (any, error) {
	filter, err := filterOf(r.Trace)
	if err != nil {
		return nil, err
	}
	options, err := r.queryOptions()
	if err != nil {
		return nil, err
	}
	var printed bytes.Buffer
	options = append(options, rego.EnablePrintStatements(true), rego.PrintHook(topdown.NewPrintHook(&printed)))
	ctx := context.Background()
	prepared, err := rego.New(options...).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	tracer := topdown.NewBufferTracer()
	tracing := []rego.EvalOption{}
	if r.Trace != "" {
		tracing = append(tracing, rego.EvalQueryTracer(tracer))
	}
	results, evalErr := prepared.Eval(ctx, tracing...)
	if results == nil {
		results = rego.ResultSet{}
	}
	answer := map[string]any{"results": results, "output": printed.String(), "trace": traceLines(filter(*tracer))}
	return answer, evalErr
}

func (r *Request) queryOptions() ([]func(*rego.Rego), error) {
	if strings.TrimSpace(r.Query) == "" {
		return nil, fmt.Errorf("query: is empty; give an expression, e.g. data.lemma.low.decision")
	}
	compiler, store, err := r.compiled()
	if err != nil {
		return nil, err
	}
	options := []func(*rego.Rego){
		rego.Query(r.Query),
		rego.Compiler(compiler),
		rego.Store(store),
		rego.StrictBuiltinErrors(r.StrictBuiltinErrors),
	}
	input, err := r.inputTerm()
	if err != nil || input == nil {
		return options, err
	}
	return append(options, rego.ParsedInput(input.Value)), nil
}

// compiled gives the policy, and the data beside it.
func (r *Request) compiled() (*ast.Compiler, storage.Store, error) {
	loaded, err := r.loaded(nil)
	if err != nil {
		return nil, nil, err
	}
	store, err := loaded.Store()
	if err != nil {
		return nil, nil, err
	}
	compiler, err := r.compiler()
	if err != nil {
		return nil, nil, err
	}
	if compiler.Compile(loaded.ParsedModules()); compiler.Failed() {
		return nil, nil, compiler.Errors
	}
	return compiler, store, nil
}

// inputTerm gives nil where `input` is undefined.
func (r *Request) inputTerm() (*ast.Term, error) {
	if r.Input == nil {
		return nil, nil
	}
	var input any
	if err := util.UnmarshalJSON([]byte(*r.Input), &input); err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	value, err := ast.InterfaceToValue(input)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return ast.NewTerm(value), nil
}
