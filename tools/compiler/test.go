package main

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/lineage"
)

// TestResult is one rule `test_…`; Cases are those of a rule that has several.
type TestResult struct {
	File     string     `json:"file"`
	Row      int        `json:"row"`
	Package  string     `json:"package"`
	Name     string     `json:"name"`
	Outcome  string     `json:"outcome"`
	Error    *Problem   `json:"error,omitempty"`
	Duration int64      `json:"duration_ns"`
	Output   string     `json:"output"`
	Trace    []string   `json:"trace"`
	Cases    []TestCase `json:"cases"`
}

type TestCase struct {
	Name []string `json:"name"`
	Pass bool     `json:"pass"`
}

// Nothing here can be interrupted: the host bounds a call by ending the instance.
const noTimeout = 24 * time.Hour

// test runs all tests. Those that fail are run once more for their trace, which excludes coverage.
func test(r *Request) (any, error) {
	loaded, err := r.loaded(nil)
	if err != nil {
		return nil, err
	}
	covered := cover.New()
	found, err := r.runTests(loaded, func(runner *tester.Runner) *tester.Runner {
		if !r.Coverage {
			return runner
		}
		return runner.SetCoverageQueryTracer(&firstTracer{Cover: covered, seen: map[*ast.Location]bool{}})
	})
	if err != nil {
		return nil, err
	}
	traces, err := r.tracesOfFailed(loaded, found)
	if err != nil {
		return nil, err
	}
	results := make([]TestResult, len(found))
	for i, each := range found {
		results[i] = resultOf(each, traces[nameOf(each)])
	}
	answer := map[string]any{"tests": results}
	if r.Coverage {
		answer["coverage"] = coverageOf(covered, loaded.ParsedModules())
	}
	return answer, nil
}

func (r *Request) runTests(loaded *loader.Result, with func(*tester.Runner) *tester.Runner) ([]*tester.Result, error) {
	ctx := context.Background()
	compiler, err := r.compiler()
	if err != nil {
		return nil, err
	}
	store, err := loaded.Store()
	if err != nil {
		return nil, err
	}
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	runner := tester.NewRunner().
		SetCompiler(compiler).
		SetStore(store).
		CapturePrintOutput(true).
		SetCoverageRuns(nil).
		SetModules(loaded.ParsedModules()).
		SetTimeout(noTimeout).
		SetParallel(1).
		Filter(r.Run)
	running, err := with(runner).RunTests(ctx, txn)
	if err != nil {
		return nil, err
	}
	var results []*tester.Result
	for each := range running {
		results = append(results, each)
	}
	slices.SortFunc(results, func(a, b *tester.Result) int {
		return cmp.Or(a.Location.Compare(b.Location), cmp.Compare(nameOf(a), nameOf(b)))
	})
	return results, nil
}

func (r *Request) tracesOfFailed(loaded *loader.Result, results []*tester.Result) (map[string][]string, error) {
	traces := map[string][]string{}
	failed := ""
	for _, each := range results {
		if each.Fail {
			failed += "|" + regexp.QuoteMeta(nameOf(each))
		}
	}
	if failed == "" {
		return traces, nil
	}
	only := *r
	only.Run = "^(" + failed[1:] + ")$"
	again, err := only.runTests(loaded, func(runner *tester.Runner) *tester.Runner {
		return runner.EnableTracing(true)
	})
	if err != nil {
		return nil, err
	}
	for _, each := range again {
		kept := lineage.Filter(each.Trace, func(event *topdown.Event) bool {
			return event.Op == topdown.NoteOp || event.Op == topdown.FailOp
		})
		traces[nameOf(each)] = traceLines(kept)
	}
	return traces, nil
}

func nameOf(result *tester.Result) string {
	return result.Package + "." + result.Name
}

func resultOf(found *tester.Result, trace []string) TestResult {
	result := TestResult{
		File:     found.Location.File,
		Row:      found.Location.Row,
		Package:  found.Package,
		Name:     found.Name,
		Outcome:  outcomeOf(found),
		Duration: found.Duration.Nanoseconds(),
		Output:   string(found.Output),
		Trace:    trace,
		Cases:    []TestCase{},
	}
	if result.Trace == nil {
		result.Trace = []string{}
	}
	if found.Error != nil {
		problem := problemsOf(found.Error)[0]
		result.Error = &problem
	}
	for name, each := range found.SubResults.Iter {
		if len(each.SubResults) == 0 {
			result.Cases = append(result.Cases, TestCase{Name: name, Pass: !each.Fail})
		}
	}
	return result
}

func outcomeOf(found *tester.Result) string {
	switch {
	case found.Error != nil:
		return "error"
	case found.Skip:
		return "skip"
	case found.Fail:
		return "fail"
	}
	return "pass"
}
