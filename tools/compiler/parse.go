package main

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// Facts is what a lint needs to know of Rego, with imports and names of the own package resolved to `data.…`.
type Facts struct {
	Packages  []PackageFact `json:"packages"`
	Rules     []RuleFact    `json:"rules"`
	DataRefs  []RefFact     `json:"data_refs"`
	InputRefs []RefFact     `json:"input_refs"`
}

type PackageFact struct {
	File    string `json:"file"`
	Package string `json:"package"`
}

// RuleFact is one rule of a file. HeadKey is the constant of `name contains "…"`; null for any other rule. Refs are the
// rule's references to `data` and `input`, up to their first variable.
type RuleFact struct {
	File    string   `json:"file"`
	Row     int      `json:"row"`
	Package string   `json:"package"`
	Name    string   `json:"name"`
	Default bool     `json:"default"`
	HeadKey *string  `json:"head_key"`
	Refs    []string `json:"refs"`
}

type RefFact struct {
	File string `json:"file"`
	Row  int    `json:"row"`
	Col  int    `json:"col"`
	Ref  string `json:"ref"`
}

func parse(r *Request) (any, error) {
	loaded, err := r.loaded(regoOnly)
	if err != nil {
		return nil, err
	}
	compiler, err := r.compiler()
	if err != nil {
		return nil, err
	}
	compiler = compiler.WithOnlyStagesUpTo(ast.StageResolveRefs)
	if compiler.Compile(loaded.ParsedModules()); compiler.Failed() {
		return nil, compiler.Errors
	}
	facts := Facts{Packages: []PackageFact{}, Rules: []RuleFact{}, DataRefs: []RefFact{}, InputRefs: []RefFact{}}
	for _, file := range util.KeysSorted(compiler.Modules) {
		facts.add(file, compiler.Modules[file])
	}
	return facts, nil
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
			Refs:    f.addRefs(file, rule),
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

func (f *Facts) addRefs(file string, rule *ast.Rule) []string {
	found := map[string]bool{}
	ast.WalkTerms(rule, func(term *ast.Term) bool {
		ref, isRef := term.Value.(ast.Ref)
		if !isRef || !(ref.HasPrefix(ast.DefaultRootRef) || ref.HasPrefix(ast.InputRootRef)) {
			return false
		}
		text := ref.GroundPrefix().String()
		fact := RefFact{File: file, Ref: text}
		if term.Location != nil {
			fact.Row, fact.Col = term.Location.Row, term.Location.Col
		}
		found[text] = true
		if strings.HasPrefix(text, "input") {
			f.InputRefs = append(f.InputRefs, fact)
		} else {
			f.DataRefs = append(f.DataRefs, fact)
		}
		return false
	})
	return util.KeysSorted(found)
}
