package main

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// watcher keeps of an evaluation what became of each rule, and nothing of its steps: those may be many.
type watcher struct {
	budget *budget
	order  []*watched
	rules  map[*ast.Rule]*watched
	// Rules that are being evaluated, by the number of their query.
	open map[uint64]*watched
	// The last that failed within an expression: of an `every`, the one that decided.
	inner *capture
}

// watched is one rule. Of what held the first time is kept, of what failed what came furthest.
type watched struct {
	rule       *ast.Rule
	statements []int
	entered    int
	held       int
	gives      *ast.Term
	fired      *capture
	// Position of the expression in the body; -1: it failed at its head.
	furthest int
	failed   *capture
}

// capture is what stood in a rule at one moment.
type capture struct {
	at     *ast.Location
	values []captured
}

// captured is a term of the source. Its value is known, or asked for later, as `asked`.
type captured struct {
	at    *ast.Location
	value *ast.Term
	asked *ast.Expr
	// What it is the value of, where that is less than stands there.
	text string
}

func newWatcher(budget *budget) *watcher {
	return &watcher{budget: budget, rules: map[*ast.Rule]*watched{}, open: map[uint64]*watched{}}
}

func (*watcher) Enabled() bool { return true }

func (*watcher) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// PassesOverUnification is asked for by tellNoUnification in build.ts.
func (*watcher) PassesOverUnification() {}

func (w *watcher) TraceEvent(event topdown.Event) {
	w.budget.step()
	switch node := event.Node.(type) {
	case *ast.Rule:
		switch event.Op {
		case topdown.EnterOp:
			w.enter(node, event.QueryID)
		case topdown.ExitOp:
			w.exit(node, &event)
		}
	case *ast.Expr:
		if event.Op == topdown.FailOp {
			w.fail(node, &event)
		}
	}
}

func (w *watcher) enter(rule *ast.Rule, query uint64) {
	found := w.rules[rule]
	if found == nil {
		found = &watched{rule: rule, statements: statementsOf(rule.Body), furthest: -1}
		w.rules[rule] = found
		w.order = append(w.order, found)
	}
	found.entered++
	w.open[query] = found
}

func (w *watcher) exit(rule *ast.Rule, event *topdown.Event) {
	found := w.rules[rule]
	if found == nil {
		return
	}
	found.held++
	if found.fired != nil {
		return
	}
	gives := rule.Head.Value
	if rule.Head.Key != nil {
		gives = rule.Head.Key
	}
	if gives != nil {
		found.gives = event.Plug(gives)
	}
	found.fired = found.capture(event, len(rule.Body)-1)
}

func (w *watcher) fail(expr *ast.Expr, event *topdown.Event) {
	found := w.open[event.QueryID]
	if found == nil {
		// An `every` fails in a query of its own as well, after what failed in it.
		if !(expr.IsEvery() && w.inner != nil && within(w.inner.at, expr.Location)) {
			w.inner = &capture{at: expr.Location, values: valuesIn(nil, expr, event)}
		}
		return
	}
	index := expr.Index
	if index >= len(found.rule.Body) || index <= found.furthest {
		return
	}
	found.furthest = index
	found.failed = found.capture(event, index)
	if expr.IsEvery() && w.inner != nil && within(w.inner.at, expr.Location) {
		found.failed.at = w.inner.at
		found.failed.values = append(found.failed.values, w.inner.values...)
	}
}

// capture takes the expressions up to one.
func (w *watched) capture(event *topdown.Event, last int) *capture {
	taken := &capture{at: w.rule.Head.Location}
	for _, arg := range w.rule.Head.Args {
		taken.values = valuesOfTerm(taken.values, arg, nil, event)
	}
	for _, expr := range w.rule.Body[:last+1] {
		taken.values = valuesIn(taken.values, expr, event)
	}
	return taken
}

// statementsOf gives for each expression of a compiled body the one that holds it in the source: OPA takes `a.b < f(c)`
// apart into several, and tells of each where it stood.
func statementsOf(body ast.Body) []int {
	owners := make([]int, len(body))
	for i, expr := range body {
		owners[i] = i
		for j := len(body) - 1; j > i; j-- {
			if within(expr.Location, body[j].Location) {
				owners[i] = j
				break
			}
		}
	}
	return owners
}

func within(inner, outer *ast.Location) bool {
	return inner != nil && outer != nil && inner.File == outer.File && inner.Offset >= outer.Offset &&
		inner.Offset+len(inner.Text) <= outer.Offset+len(outer.Text)
}
