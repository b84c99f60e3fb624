package main

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// Facts is what a lint needs to know of Rego, with imports and names of the own package resolved to `data.…`.
type Facts struct {
	Packages []PackageFact `json:"packages"`
	Rules    []RuleFact    `json:"rules"`
}

type PackageFact struct {
	File    string `json:"file"`
	Package string `json:"package"`
}

// RuleFact is one rule of a file. HeadKey is the constant of `name contains "…"`; null for any other rule. Value is that of
// a rule that is a constant, default or not. Refs are the rule's references to `data` and `input`, up to their first
// variable; Strings its constants that are no part of a reference.
type RuleFact struct {
	File    string   `json:"file"`
	Row     int      `json:"row"`
	Package string   `json:"package"`
	Name    string   `json:"name"`
	Default bool     `json:"default"`
	HeadKey *string  `json:"head_key"`
	Value   any      `json:"value,omitempty"`
	Refs    []string `json:"refs"`
	Strings []string `json:"strings"`
}

func newFacts() *Facts {
	return &Facts{Packages: []PackageFact{}, Rules: []RuleFact{}}
}

// collect is a stage of the compiler: from names resolved on, and before rules are rewritten.
func (f *Facts) collect(compiler *ast.Compiler) *ast.Error {
	for _, file := range util.KeysSorted(compiler.Modules) {
		f.add(file, compiler.Modules[file])
	}
	return nil
}

func (f *Facts) add(file string, module *ast.Module) {
	name := module.Package.Path.String()
	f.Packages = append(f.Packages, PackageFact{File: file, Package: name})
	for _, rule := range module.Rules {
		f.Rules = append(f.Rules, RuleFact{
			File:    file,
			Row:     rule.Head.Location.Row,
			Package: name,
			Name:    rule.Head.Ref().GroundPrefix().String(),
			Default: rule.Default,
			HeadKey: headKeyOf(rule),
			Value:   constantOf(rule),
			Refs:    refsOf(rule),
			Strings: stringsOf(rule),
		})
	}
}

func headKeyOf(rule *ast.Rule) *string {
	if rule.Head.Key == nil {
		return nil
	}
	key, isString := rule.Head.Key.Value.(ast.String)
	if !isString {
		return nil
	}
	text := string(key)
	return &text
}

var always = ast.NewBody(ast.NewExpr(ast.BooleanTerm(true)))

// constantOf gives nothing for what must be evaluated.
func constantOf(rule *ast.Rule) any {
	head := rule.Head
	if head.Value == nil || head.Key != nil || len(head.Args) > 0 || rule.Else != nil || !rule.Body.Equal(always) {
		return nil
	}
	value, err := ast.JSON(head.Value.Value)
	if err != nil {
		return nil
	}
	return value
}

func stringsOf(rule *ast.Rule) []string {
	found := map[string]bool{}
	var visit func(*ast.Term) bool
	visit = func(term *ast.Term) bool {
		switch value := term.Value.(type) {
		case ast.String:
			found[string(value)] = true
		case ast.Ref:
			for _, step := range value {
				if _, isName := step.Value.(ast.String); !isName {
					ast.WalkTerms(step, visit)
				}
			}
			return true
		}
		return false
	}
	ast.WalkTerms(rule, visit)
	return util.KeysSorted(found)
}

func refsOf(rule *ast.Rule) []string {
	found := map[string]bool{}
	ast.WalkTerms(rule, func(term *ast.Term) bool {
		ref, isRef := term.Value.(ast.Ref)
		if isRef && (ref.HasPrefix(ast.DefaultRootRef) || ref.HasPrefix(ast.InputRootRef)) {
			found[ref.GroundPrefix().String()] = true
		}
		return false
	})
	return util.KeysSorted(found)
}
