package lemma.lib_test

import data.lemma.fixtures_test as fixtures
import data.lemma.lib

test_decide_allows_without_denials if {
	lib.decide(set()) == fixtures.allowed with input as fixtures.proven("low")
}

test_decide_is_undefined_without_caller_and_denials if {
	not lib.decide(set()) with input as {}
}

test_decide_names_first_by_precedence if {
	codes := {"policy_denied", "budget_exhausted", "taint_stale", "pop_required"}
	expected := ["pop_required", "taint_stale", "budget_exhausted", "policy_denied"]
	lib.decide(codes) == fixtures.denied(expected) with input as fixtures.proven("low")
}

test_decide_puts_own_codes_last_and_sorted if {
	expected := ["policy_denied", "x_a", "x_b"]
	lib.decide({"x_b", "policy_denied", "x_a"}) == fixtures.denied(expected) with input as fixtures.proven("low")
}

test_precedence_is_that_of_the_contract if {
	lib.precedence == [
		"pop_required", "run_required", "taint_stale", "taint_ahead", "ttl_too_long", "body_truncated",
		"freshness_stale", "budget_exhausted", "legacy_disabled", "context_missing", "policy_denied",
	]
}

test_caller_proof if lib.caller == "proof" with input as fixtures.proven("low")

test_caller_credential if {
	lib.caller == "proof" with input as object.union(fixtures.proven("low"), fixtures.bearer)
}

test_caller_token if lib.caller == "token" with input as fixtures.with_token("low")

test_caller_public if {
	request := object.union(fixtures.without_proof("low", "none"), {"route": {"public": true}})
	lib.caller == "public" with input as request
}

test_no_caller_when_malformed if {
	every change in [
		{"v": 2}, {"now": "1"}, {"request": {"method": 7}}, {"request": {"body": {"state": "whole"}}},
		{"route": {"body": "xml"}}, {"route": {"public": "false"}}, {"subject": {"via": "friend"}},
		{"proof": null}, {"runtime": null}, {"runtime": {"taint_epoch": "3"}},
	] {
		not lib.caller with input as object.union(fixtures.proven("low"), change)
	}
}

test_no_caller_without_proof if {
	every via in ["asserted", "none", "proof", "credential", "token"] {
		not lib.caller with input as fixtures.without_proof("low", via)
	}
}

test_at_most_wants_numbers if {
	lib.at_most(1, 1)
	not lib.at_most(2, 1)
	not lib.at_most(null, 1)
	not lib.at_most(1, "2")
}

test_epoch_that_is_no_number_is_neither_seen_nor_known if {
	request := object.union(fixtures.proven("low"), {"proof": {"taint_epoch": "3"}})
	not lib.taint_seen with input as request
	not lib.taint_known with input as request
}

test_binding_age_is_that_of_the_runtime_link if {
	lib.binding_age_ms == 10123 with input as fixtures.proven("low")
}

test_binding_age_needs_a_runtime_link if {
	not lib.binding_age_ms with input as object.union(fixtures.proven("low"), fixtures.no_runtime_link)
}

test_binding_age_is_that_of_the_oldest if {
	links := [{"type": "runtime", "issued_at": 1789999990}, {"type": "runtime", "issued_at": 1789999900}]
	lib.binding_age_ms == 100123 with input as object.union(fixtures.proven("low"), {"proof": {"links": links}})
}

test_binding_without_time_leaves_the_age_undefined if {
	every unclear in [{}, {"issued_at": null}, {"issued_at": "1789999990"}] {
		links := [{"type": "runtime", "issued_at": 1789999990}, object.union({"type": "runtime"}, unclear)]
		request := object.union(fixtures.proven("low"), {"proof": {"links": links}})
		not lib.binding_age_ms with input as request
	}
}

test_epoch_of_any_type_is_one_value if {
	every epoch in [false, null, "", [], {}] {
		request := object.union(fixtures.proven("low"), {"proof": {"taint_epoch": epoch}})
		lib.held_epoch == epoch with input as request
	}
}
