package main

import (
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Problem is one error with OPA's own code and words. Row and Col count from 1; 0 is nowhere.
type Problem struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	File    string   `json:"file"`
	Row     int      `json:"row"`
	Col     int      `json:"col"`
	Details []string `json:"details"`
}

func problemsOf(err error) []Problem {
	problems := []Problem{}
	if err != nil {
		collect(err, &problems)
	}
	return problems
}

func collect(err error, into *[]Problem) {
	switch err := err.(type) {
	case ast.Errors:
		for _, each := range err {
			collect(each, into)
		}
	case loader.Errors:
		for _, each := range err {
			collect(each, into)
		}
	case rego.Errors:
		for _, each := range err {
			collect(each, into)
		}
	case interface{ Unwrap() []error }:
		for _, each := range err.Unwrap() {
			collect(each, into)
		}
	case *ast.Error:
		*into = append(*into, problemAt(err.Code, err.Message, err.Location, linesOf(err.Details)))
	case *topdown.Error:
		*into = append(*into, problemAt(err.Code, err.Message, err.Location, nil))
	default:
		if inner := errors.Unwrap(err); inner != nil && isKnown(inner) {
			collect(inner, into)
			return
		}
		*into = append(*into, problemAt("opa_error", err.Error(), nil, nil))
	}
}

func isKnown(err error) bool {
	switch err.(type) {
	case ast.Errors, loader.Errors, rego.Errors, *ast.Error, *topdown.Error:
		return true
	}
	return false
}

func linesOf(details ast.ErrorDetails) []string {
	if details == nil {
		return nil
	}
	return details.Lines()
}

func problemAt(code, message string, at *ast.Location, details []string) Problem {
	problem := Problem{Code: code, Message: message, Details: details}
	if problem.Details == nil {
		problem.Details = []string{}
	}
	if at != nil {
		problem.File, problem.Row, problem.Col = at.File, at.Row, at.Col
	}
	return problem
}
