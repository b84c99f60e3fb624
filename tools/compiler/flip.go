package main

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// flipEach says of each rule that failed what the answer would be, had what failed held: it is taken to be true, one
// rule at a time, and the policy evaluated again. Where that changes nothing, all that follows it is taken so too. What
// binds a variable for the rest of its rule cannot be left out, nor what was evaluated for several calls.
func (e *evaluation) flipEach(found []*watched, rules []ExplainedRule, answer *ast.Term) {
	e.flips = 0
	for i, each := range found {
		if each.held > 0 || each.furthest < 0 || (len(each.rule.Head.Args) > 0 && each.entered > 1) {
			continue
		}
		would := e.flip(each, false)
		given := "at"
		if would != nil && answer != nil && would.Equal(answer) {
			if more := e.flip(each, true); more != nil && !more.Equal(answer) {
				would, given = more, "rest"
			}
		}
		if would == nil {
			continue
		}
		if value, err := ast.JSON(would.Value); err == nil {
			rules[i].Would, rules[i].Given = value, given
		}
	}
}

// flip gives nil where there is nothing to say.
func (e *evaluation) flip(each *watched, rest bool) *ast.Term {
	held, can := each.withoutFailed(rest)
	if !can || e.flips == mostFlips || e.budget.used > mostSteps {
		return nil
	}
	e.flips++
	body := each.rule.Body
	each.rule.Body = held
	would, err := e.answer(&counter{e.budget})
	each.rule.Body = body
	if err != nil {
		return nil
	}
	return would
}

// withoutFailed gives the body with what failed taken to be true; with the rest of it, so that nothing is left to fail.
func (w *watched) withoutFailed(rest bool) (ast.Body, bool) {
	owner := w.statements[w.furthest]
	before, inside, kept := ast.NewVarSet(), ast.NewVarSet(), ast.NewVarSet()
	for _, arg := range w.rule.Head.Args {
		before.Update(arg.Vars())
	}
	begun := false
	held := make(ast.Body, len(w.rule.Body))
	for i, expr := range w.rule.Body {
		vars := varsOf(expr)
		begun = begun || w.statements[i] == owner
		if w.statements[i] == owner || (rest && begun) {
			inside.Update(vars)
			held[i] = ast.NewExpr(ast.BooleanTerm(true))
			held[i].Index = i
			held[i].Location = expr.Location
			continue
		}
		held[i] = expr
		kept.Update(vars)
		if !begun {
			before.Update(vars)
		}
	}
	kept.Update(varsOf(w.rule.Head))
	needed := inside.Intersect(kept).Diff(before)
	delete(needed, ast.DefaultRootDocument.Value.(ast.Var))
	delete(needed, ast.InputRootDocument.Value.(ast.Var))
	return held, len(needed) == 0
}

func varsOf(node any) ast.VarSet {
	visitor := ast.NewVarVisitor().WithParams(ast.VarVisitorParams{SkipRefCallHead: true})
	visitor.Walk(node)
	return visitor.Vars()
}
