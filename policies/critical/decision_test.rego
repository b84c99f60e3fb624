package lemma.critical_test

import data.critical.settings
import data.lemma.critical
import data.lemma.fixtures_test as fixtures

decision(request) := result if {
	result := critical.decision with input as request with data.lemma.critical.settings as settings
}

after(change) := decision(object.union(fixtures.proven("critical"), change))

denied(request, reasons) if decision(request) == fixtures.denied(reasons)

test_allows_proof if after({}) == fixtures.allowed

test_denies_missing_input if critical.decision == fixtures.denied(["policy_denied"])

test_denies_malformed_input if {
	every request in [null, "", 0, [], {}, {"v": 1}] {
		denied(request, ["policy_denied"])
	}
}

test_denies_another_profile if {
	every profile in {"low", "high", "critical"} - {"critical"} {
		after({"profile": profile}).reasons == ["policy_denied"]
	}
}

test_denies_asserted_and_none if {
	every via in ["asserted", "none"] {
		denied(fixtures.without_proof("critical", via), ["policy_denied"])
	}
}

test_allows_public_without_proof if {
	request := object.union(fixtures.without_proof("critical", "none"), {"route": {"public": true}, "request": {"method": "POST"}})
	decision(request) == fixtures.allowed
}

test_denies_taint_ahead if {
	after({"proof": {"taint_epoch": 4}}) == fixtures.denied(["taint_ahead"])
}

test_allows_budget_to_its_limit if after({"budget": {"limit": 5, "used": 5}}) == fixtures.allowed

test_denies_budget_beyond_its_limit if {
	after({"budget": {"limit": 5, "used": 6}}) == fixtures.denied(["budget_exhausted"])
}

test_denies_budget_that_is_not_understood if {
	after({"budget": {"limit": "6", "used": 5}}) == fixtures.denied(["budget_exhausted"])
}

test_denies_missing_json if {
	change := {"route": {"body": "json"}, "request": {"body": {"state": "complete"}}}
	after(change) == fixtures.denied(["context_missing"])
}

test_allows_json_of_any_value if {
	every json in [false, null, 0, {}] {
		change := {"route": {"body": "json"}, "request": {"body": {"state": "complete", "json": json}}}
		after(change) == fixtures.allowed
	}
}

test_missing_data_does_not_allow if {
	not critical.decision.allow with input as fixtures.proven("critical") with data.lemma.critical.settings as {}
}

test_denies_reading_without_pop if after(fixtures.bearer) == fixtures.denied(["pop_required"])

test_denies_uncovered_body if {
	change := {"request": {"body": {"state": "complete"}}, "proof": {"pop": {"body_covered": false}}}
	after(change) == fixtures.denied(["pop_required"])
}

test_allows_covered_body if after({"request": {"method": "POST", "body": {"state": "complete"}}}) == fixtures.allowed

test_denies_without_run if {
	denied(json.remove(fixtures.proven("critical"), ["proof/run_id"]), ["run_required"])
}

test_denies_empty_run if after({"proof": {"run_id": ""}}) == fixtures.denied(["run_required"])

test_denies_stale_taint if after({"proof": {"taint_epoch": 2}}) == fixtures.denied(["taint_stale"])

test_allows_confirmed_lease if {
	after({"freshness": {"source": "lease", "confirmed": true}}) == fixtures.allowed
}

test_allows_local_store if {
	after({"freshness": {"source": "local", "confirmed": false}}) == fixtures.allowed
}

test_denies_unconfirmed_lease if {
	change := {"freshness": {"source": "lease", "confirmed": false, "age_ms": 0}}
	after(change) == fixtures.denied(["freshness_stale"])
}

test_allows_binding_of_15_minutes if after(fixtures.binding_of_age_s(899)) == fixtures.allowed

test_denies_binding_older_than_15_minutes if {
	after(fixtures.binding_of_age_s(900)) == fixtures.denied(["ttl_too_long"])
}

test_denies_token_always if {
	request := fixtures.with_token("critical")
	critical.decision == fixtures.denied(["legacy_disabled"]) with input as request
		with data.lemma.critical.settings as object.union(settings, {"legacy_routes": ["documents.read"]})
}

test_names_all_denials_in_order if {
	change := object.union_n([
		fixtures.bearer,
		fixtures.binding_of_age_s(900),
		{
			"proof": {"run_id": "", "taint_epoch": 2},
			"freshness": {"source": "lease", "confirmed": false},
			"budget": {"limit": 0, "used": 1},
			"route": {"body": "json"},
			"request": {"body": {"state": "truncated"}},
		},
	])
	after(change) == fixtures.denied([
		"pop_required", "run_required", "taint_stale", "ttl_too_long", "body_truncated",
		"freshness_stale", "budget_exhausted",
	])
}

test_denies_truncated_and_unseen_body if {
	every state in ["truncated", "unseen"] {
		every wanted in ["digest", "json"] {
			change := {"route": {"body": wanted}, "request": {"body": {"state": state}}}
			after(change) == fixtures.denied(["body_truncated"])
		}
	}
}

test_allows_truncated_body_where_not_wanted if {
	after({"request": {"body": {"state": "truncated"}}}) == fixtures.allowed
}

test_allows_whole_body if {
	after({"route": {"body": "digest"}, "request": {"body": {"state": "complete"}}}) == fixtures.allowed
}

test_denies_truncated_body_on_public_route if {
	change := {"route": {"public": true, "body": "digest"}, "request": {"body": {"state": "truncated"}}}
	after(change) == fixtures.denied(["body_truncated"])
}

test_denies_without_facts_of_freshness if {
	denied(json.remove(fixtures.proven("critical"), ["freshness"]), ["freshness_stale"])
}

test_denies_without_fact_of_budget if {
	denied(json.remove(fixtures.proven("critical"), ["budget"]), ["budget_exhausted"])
}
