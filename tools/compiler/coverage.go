package main

import (
	"cmp"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// firstTracer tells Cover of each rule and expression once: that is all it keeps, and most events repeat.
type firstTracer struct {
	*cover.Cover
	seen map[*ast.Location]bool
}

// PassesOverUnification is asked for by tellNoUnification in build.ts.
func (*firstTracer) PassesOverUnification() {}

func (t *firstTracer) TraceEvent(event topdown.Event) {
	at := placeOf(event)
	if at == nil || t.seen[at] {
		return
	}
	t.seen[at] = true
	t.Cover.TraceEvent(event)
}

// placeOf gives what Cover would record; nil for an event that it passes over.
func placeOf(event topdown.Event) *ast.Location {
	switch node := event.Node.(type) {
	case *ast.Rule:
		if event.Op == topdown.ExitOp {
			return node.Head.Location
		}
	case *ast.Expr:
		if event.Op == topdown.EvalOp {
			return node.Location
		}
	}
	return nil
}

// RuleCoverage tells whether some test made the rule's head true.
type RuleCoverage struct {
	File    string `json:"file"`
	Row     int    `json:"row"`
	Package string `json:"package"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
	Covered bool   `json:"covered"`
}

// startsUncovered asks for the head itself: a row may hold a body that was evaluated in vain.
func startsUncovered(report *cover.FileReport, head *ast.Location) bool {
	return slices.ContainsFunc(report.NotCovered, func(each cover.Range) bool {
		return each.Start == cover.Position{Row: head.Row, Col: head.Col}
	})
}

func coverageOf(covered *cover.Cover, modules map[string]*ast.Module) any {
	report := covered.Report(modules)
	rules := []RuleCoverage{}
	for file, module := range modules {
		ast.WalkRules(module, func(rule *ast.Rule) bool {
			at := rule.Head.Location
			rules = append(rules, RuleCoverage{
				File:    file,
				Row:     at.Row,
				Package: module.Package.Path.String(),
				Name:    rule.Head.Ref().String(),
				Default: rule.Default,
				Covered: !startsUncovered(report.Files[file], at),
			})
			return false
		})
	}
	slices.SortFunc(rules, func(a, b RuleCoverage) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row))
	})
	return struct {
		cover.Report
		Rules []RuleCoverage `json:"rules"`
	}{report, rules}
}
