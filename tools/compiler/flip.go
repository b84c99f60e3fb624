package main

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// flipEach says of each rule that failed what the answer would be, had what failed held: it is taken to be true, one at
// a time, and the policy evaluated again. What binds a variable for the rest of its rule cannot be left out, nor what
// was evaluated for several calls.
func (e *evaluation) flipEach(found []*watched, rules []ExplainedRule) {
	flips := 0
	for i, each := range found {
		if flips == mostFlips || e.budget.used > mostSteps {
			return
		}
		held, can := each.withoutFailed()
		if !can {
			continue
		}
		flips++
		body := each.rule.Body
		each.rule.Body = held
		answer, err := e.answer(&counter{e.budget})
		each.rule.Body = body
		if err != nil || answer == nil {
			continue
		}
		if value, err := ast.JSON(answer.Value); err == nil {
			rules[i].Would = value
		}
	}
}

func (w *watched) withoutFailed() (ast.Body, bool) {
	if w.held > 0 || w.furthest < 0 || (len(w.rule.Head.Args) > 0 && w.entered > 1) {
		return nil, false
	}
	owner := w.statements[w.furthest]
	before, inside, rest := ast.NewVarSet(), ast.NewVarSet(), ast.NewVarSet()
	for _, arg := range w.rule.Head.Args {
		before.Update(arg.Vars())
	}
	first := true
	held := make(ast.Body, len(w.rule.Body))
	for i, expr := range w.rule.Body {
		vars := varsOf(expr)
		held[i] = expr
		if w.statements[i] == owner {
			inside.Update(vars)
			held[i] = ast.NewExpr(ast.BooleanTerm(true))
			held[i].Index = i
			held[i].Location = expr.Location
			first = false
			continue
		}
		rest.Update(vars)
		if first {
			before.Update(vars)
		}
	}
	rest.Update(varsOf(w.rule.Head))
	needed := inside.Intersect(rest).Diff(before)
	delete(needed, ast.DefaultRootDocument.Value.(ast.Var))
	delete(needed, ast.InputRootDocument.Value.(ast.Var))
	return held, len(needed) == 0
}

func varsOf(node any) ast.VarSet {
	visitor := ast.NewVarVisitor().WithParams(ast.VarVisitorParams{SkipRefCallHead: true})
	visitor.Walk(node)
	return visitor.Vars()
}
