package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ExplainedRule is one clause (each `else` is one, and so is each of several rules of one name) that an answer was
// looked for in.
type ExplainedRule struct {
	Path     string `json:"path"`
	File     string `json:"file"`
	LineFrom int    `json:"line_from"`
	LineTo   int    `json:"line_to"`
	Source   string `json:"source"`
	Default  bool   `json:"default"`
	// How often it was evaluated, and how often it held.
	Evaluated int `json:"evaluated"`
	Held      int `json:"held"`
	// The first of its values, as OPA writes it; nil where it never held.
	Gives *string `json:"gives"`
	// What failed furthest on; the head where it held.
	At Place `json:"at"`
	// All others of its expressions held, one at least.
	OnlyLast bool `json:"only_last"`
	// The answer, had what failed held; absent where that cannot be said.
	Would any `json:"would,omitempty"`
	// What is taken to have held for that: `at`, or the rest of the rule with it.
	Given  string  `json:"given,omitempty"`
	Values []Value `json:"values"`
}

// Place is where a text stands. Line and Column count from 1, in characters.
type Place struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
}

// Value is what an expression had; nil: undefined.
type Value struct {
	Place
	Value *string `json:"value"`
}

const (
	// Events of all evaluations together.
	mostSteps = 200_000
	mostRules = 200
	// Evaluations with one expression taken to hold.
	mostFlips = 64
	// Values of one rule.
	mostValues  = 40
	mostLines   = 60
	lineLength  = 400
	textLength  = 200
	valueLength = 200
)

// explain answers a reference as `evaluate` does, with the rules that it was looked for in, in the order in which each
// was first entered. Every rule is looked at: the index and the early exit leave out only what changes no answer.
func explain(r *Request) (any, error) {
	evaluation, err := r.evaluation()
	if err != nil {
		return nil, err
	}
	defer evaluation.close()
	watch := newWatcher(evaluation.budget)
	answer, err := evaluation.answer(watch)
	if err != nil {
		return nil, err
	}
	results := []any{}
	if answer != nil {
		value, err := ast.JSON(answer.Value)
		if err != nil {
			return nil, err
		}
		results = append(results, map[string]any{"expressions": []any{map[string]any{"value": value, "text": r.Query}}})
	}
	found := watch.order[:min(len(watch.order), mostRules)]
	known := evaluation.valuesOf(found)
	rules := make([]ExplainedRule, len(found))
	for i, each := range found {
		rules[i] = r.explained(each, known)
	}
	evaluation.flipEach(found, rules, answer)
	return map[string]any{
		"results": results,
		"rules":   rules,
		"cut":     len(watch.order) > mostRules,
		"steps":   evaluation.budget.used,
	}, nil
}

// evaluation is a compiled policy with its data and input, asked again and again.
type evaluation struct {
	compiler *ast.Compiler
	store    storage.Store
	txn      storage.Transaction
	input    *ast.Term
	query    ast.Body
	budget   *budget
	flips    int
}

// budget bounds what cannot be interrupted otherwise: nothing runs beside an evaluation here.
type budget struct {
	used   int
	cancel topdown.Cancel
}

func (b *budget) step() {
	b.used++
	if b.used > mostSteps {
		b.cancel.Cancel()
	}
}

var answerVar = ast.VarTerm("explained")

func (r *Request) evaluation() (*evaluation, error) {
	ref, err := ast.ParseRef(r.Query)
	if err != nil {
		return nil, fmt.Errorf("query: %q is no reference; give e.g. data.lemma.low.decision", r.Query)
	}
	compiler, store, err := r.compiled()
	if err != nil {
		return nil, err
	}
	e := &evaluation{compiler: compiler, store: store, budget: &budget{cancel: topdown.NewCancel()}}
	if e.input, err = r.inputTerm(); err != nil {
		return nil, err
	}
	if e.query, err = e.compile(ast.NewTerm(ref)); err != nil {
		return nil, err
	}
	if e.txn, err = store.NewTransaction(context.Background()); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *evaluation) close() {
	e.store.Abort(context.Background(), e.txn)
}

func (e *evaluation) compile(term *ast.Term) (ast.Body, error) {
	return e.compiler.QueryCompiler().Compile(ast.NewBody(ast.Equality.Expr(answerVar, term)))
}

func (e *evaluation) answer(tracer topdown.QueryTracer) (*ast.Term, error) {
	return e.ask(e.query, tracer)
}

// ask gives nil where there is no answer.
func (e *evaluation) ask(query ast.Body, tracer topdown.QueryTracer) (*ast.Term, error) {
	results, err := topdown.NewQuery(query).
		WithCompiler(e.compiler).
		WithStore(e.store).
		WithTransaction(e.txn).
		WithInput(e.input).
		WithCancel(e.budget.cancel).
		WithQueryTracer(tracer).
		WithIndexing(false).
		WithEarlyExit(false).
		Run(context.Background())
	if topdown.IsCancel(err) {
		return nil, &ast.Error{Code: "step_limit", Message: fmt.Sprintf("the evaluation took more than %d steps, and is not told for that", mostSteps)}
	}
	if err != nil || len(results) == 0 {
		return nil, err
	}
	if len(results) > 1 {
		return nil, errors.New("query: it has several answers")
	}
	return results[0][answerVar.Value.(ast.Var)], nil
}
