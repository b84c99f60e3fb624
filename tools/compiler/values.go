package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// valuesIn adds the terms of an expression that have a value of their own: no constants, no names of functions, nothing
// from within a comprehension.
func valuesIn(values []captured, expr *ast.Expr, event *topdown.Event) []captured {
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		return valuesOfTerm(values, terms, expr, event)
	case []*ast.Term:
		for _, term := range terms[1:] {
			values = valuesOfTerm(values, term, expr, event)
		}
	case *ast.Every:
		values = valuesOfTerm(values, terms.Domain, expr, event)
	}
	return values
}

func valuesOfTerm(values []captured, term *ast.Term, expr *ast.Expr, event *topdown.Event) []captured {
	ast.WalkTerms(term, func(each *ast.Term) bool {
		switch value := each.Value.(type) {
		case ast.Var:
			if each.Location == nil || value.IsWildcard() || isRoot(each) {
				return true
			}
			if plugged := event.Plug(each); plugged.IsGround() {
				values = append(values, captured{at: each.Location, value: plugged})
			} else if !isBlank(each.Location) {
				values = append(values, captured{at: each.Location})
			}
			return true
		case ast.Ref:
			if known, is := valueOfRef(each, expr, event); is {
				values = append(values, known)
			}
			// That of a `some` has no place of its own, but its variables have.
			return each.Location != nil
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			return true
		}
		return false
	})
	return values
}

// valueOfRef asks for what stands at the root `data` later: it may take an evaluation.
func valueOfRef(term *ast.Term, expr *ast.Expr, event *topdown.Event) (captured, bool) {
	ref, is := event.Plug(term).Value.(ast.Ref)
	if !is {
		return captured{}, false
	}
	found := captured{at: term.Location}
	if found.at == nil {
		ref, found.at = term.Value.(ast.Ref), term.Value.(ast.Ref)[0].Location
	}
	if prefix := ref.GroundPrefix(); term.Location == nil || len(prefix) < len(ref) {
		if found.at == nil || !isNarrow(prefix) {
			return captured{}, false
		}
		ref, found.text = prefix, prefix.String()
	}
	if ref.HasPrefix(ast.InputRootRef) && (expr == nil || len(expr.With) == 0) {
		if event.Input() != nil {
			if value, err := event.Input().Value.Find(ref[1:]); err == nil {
				found.value = ast.NewTerm(value)
			}
		}
		return found, true
	}
	found.asked = ast.Equality.Expr(askedVar, ast.NewTerm(ref))
	if expr == nil {
		return found, true
	}
	for _, with := range expr.With {
		value := event.Plug(with.Value)
		if !value.IsGround() {
			return captured{}, false
		}
		found.asked = found.asked.IncludeWith(with.Target, value)
	}
	return found, true
}

// isNarrow tells a value from all of the input, and a rule from its package.
func isNarrow(prefix ast.Ref) bool {
	if prefix.HasPrefix(ast.InputRootRef) {
		return len(prefix) > 1
	}
	return len(prefix) > 3
}

func isRoot(term *ast.Term) bool {
	return term.Equal(ast.DefaultRootDocument) || term.Equal(ast.InputRootDocument)
}

var askedVar = ast.VarTerm("asked")

// valuesOf gives what was asked for; what cannot be had is left out. A `with` around the call of a rule is not known here:
// for what it replaces in `data`, the values are those without it.
func (e *evaluation) valuesOf(rules []*watched) map[*ast.Expr]*ast.Term {
	var asked []*ast.Expr
	for _, rule := range rules {
		for _, each := range rule.shown().values {
			if each.asked != nil {
				asked = append(asked, each.asked)
			}
		}
	}
	known := map[*ast.Expr]*ast.Term{}
	if e.learn(known, asked) == nil {
		return known
	}
	for _, each := range asked[:min(len(asked), mostAlone)] {
		var refused ast.Errors
		if err := e.learn(known, []*ast.Expr{each}); errors.As(err, &refused) {
			// By its type: there is no such member, ever.
			known[each] = nil
		}
	}
	return known
}

const mostAlone = 200

// learn gets values all in one evaluation.
func (e *evaluation) learn(known map[*ast.Expr]*ast.Term, asked []*ast.Expr) error {
	lists := make([]*ast.Term, len(asked))
	for i, each := range asked {
		lists[i] = ast.ArrayComprehensionTerm(askedVar, ast.NewBody(each.Copy()))
	}
	query, err := e.compile(ast.ArrayTerm(lists...))
	if err != nil {
		return err
	}
	answer, err := e.ask(query, &counter{e.budget})
	if err != nil || answer == nil {
		return err
	}
	all, is := answer.Value.(*ast.Array)
	if !is {
		return nil
	}
	for i, each := range asked {
		known[each] = nil
		if list, is := all.Elem(i).Value.(*ast.Array); is && list.Len() > 0 {
			known[each] = list.Elem(0)
		}
	}
	return nil
}

// counter is a tracer that counts.
type counter struct{ budget *budget }

func (*counter) Enabled() bool { return true }

func (*counter) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

func (*counter) PassesOverUnification() {}

func (c *counter) TraceEvent(topdown.Event) { c.budget.step() }

// shown is what is told of a rule.
func (w *watched) shown() *capture {
	if w.fired != nil {
		return w.fired
	}
	if w.failed != nil {
		return w.failed
	}
	return &capture{at: w.rule.Head.Location}
}

func (r *Request) explained(w *watched, known map[*ast.Expr]*ast.Term) ExplainedRule {
	file := w.rule.Location.File
	text := r.Files[file]
	from, to := spanOf(w.rule)
	first, last := lineAt(text, from), lineAt(text, max(from, to-1))
	explained := ExplainedRule{
		Path:      w.rule.Ref().GroundPrefix().String(),
		File:      file,
		LineFrom:  first,
		LineTo:    last,
		Source:    linesFrom(text, first, last),
		Default:   w.rule.Default,
		Evaluated: w.entered,
		Held:      w.held,
		At:        placeIn(text, w.at()),
		OnlyLast:  w.onlyLast(),
		Values:    []Value{},
	}
	if w.gives != nil {
		gives := cut(w.gives.String(), valueLength)
		explained.Gives = &gives
	}
	seen := map[string]bool{}
	for _, each := range w.shown().values {
		value := each.value
		if each.asked != nil {
			found, isKnown := known[each.asked]
			if !isKnown {
				continue
			}
			value = found
		}
		place := placeIn(text, each.at)
		if each.text != "" {
			place.Text = cut(each.text, textLength)
		}
		key := fmt.Sprint(place.Line, " ", place.Text)
		if seen[key] || len(explained.Values) == mostValues {
			continue
		}
		seen[key] = true
		explained.Values = append(explained.Values, Value{Place: place, Value: textOf(value)})
	}
	slices.SortStableFunc(explained.Values, func(a, b Value) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return explained
}

func textOf(term *ast.Term) *string {
	if term == nil {
		return nil
	}
	text := cut(term.String(), valueLength)
	return &text
}

// at is what failed, or the head.
func (w *watched) at() *ast.Location {
	if w.fired != nil || w.furthest < 0 {
		return w.rule.Head.Location
	}
	if expr := w.rule.Body[w.furthest]; expr.IsEvery() && w.failed.at != w.rule.Head.Location {
		return w.failed.at
	}
	return w.rule.Body[w.statements[w.furthest]].Location
}

func (w *watched) onlyLast() bool {
	if w.held > 0 || w.furthest < 0 {
		return false
	}
	owner := w.statements[w.furthest]
	before := false
	for i, each := range w.statements {
		if i > w.furthest && each != owner {
			return false
		}
		before = before || (i < w.furthest && each != owner)
	}
	return before
}

// spanOf gives the bytes of a rule, up to its `else`. OPA's location of a default ends after its first word.
func spanOf(rule *ast.Rule) (from, to int) {
	from = rule.Location.Offset
	ends := []*ast.Location{rule.Location, rule.Head.Location}
	if rule.Head.Value != nil {
		ends = append(ends, rule.Head.Value.Location)
	}
	for _, at := range ends {
		if at != nil && at.File == rule.Location.File && at.Offset >= from {
			to = max(to, at.Offset+len(at.Text))
		}
	}
	if rule.Else != nil && rule.Else.Location.Offset > from {
		to = rule.Else.Location.Offset
	}
	return from, to
}

func placeIn(text string, at *ast.Location) Place {
	offset := min(at.Offset, len(text))
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	return Place{
		Line:   lineAt(text, offset),
		Column: utf8.RuneCountInString(text[start:offset]) + 1,
		Text:   cut(string(at.Text), textLength),
	}
}

func lineAt(text string, offset int) int {
	return strings.Count(text[:min(offset, len(text))], "\n") + 1
}

func linesFrom(text string, first, last int) string {
	lines := strings.Split(text, "\n")
	lines = lines[min(first-1, len(lines)):min(last, first-1+mostLines, len(lines))]
	for i, line := range lines {
		lines[i] = cut(strings.TrimSuffix(line, "\r"), lineLength)
	}
	return strings.Join(lines, "\n")
}

// cut leaves so many characters, and says that there were more.
func cut(text string, length int) string {
	if len(text) <= length {
		return text
	}
	runes := []rune(text)
	if len(runes) <= length {
		return text
	}
	return string(runes[:length]) + "…"
}

func isBlank(at *ast.Location) bool {
	return strings.TrimSpace(string(at.Text)) == ""
}
