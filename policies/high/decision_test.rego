package lemma.high_test

import data.high.settings
import data.lemma.fixtures_test as fixtures
import data.lemma.high

decision(request) := result if {
	result := high.decision with input as request with data.lemma.high.settings as settings
}

after(change) := decision(object.union(fixtures.proven("high"), change))

denied(request, reasons) if decision(request) == fixtures.denied(reasons)

test_allows_proof if after({}) == fixtures.allowed

test_denies_missing_input if high.decision == fixtures.denied(["policy_denied"])

test_denies_malformed_input if {
	every request in [null, "", 0, [], {}, {"v": 1}] {
		denied(request, ["policy_denied"])
	}
}

test_denies_another_profile if {
	every profile in {"low", "high", "critical"} - {"high"} {
		after({"profile": profile}).reasons == ["policy_denied"]
	}
}

test_denies_asserted_and_none if {
	every via in ["asserted", "none"] {
		denied(fixtures.without_proof("high", via), ["policy_denied"])
	}
}

test_allows_public_without_proof if {
	request := object.union(fixtures.without_proof("high", "none"), {"route": {"public": true}, "request": {"method": "POST"}})
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
	not high.decision.allow with input as fixtures.proven("high") with data.lemma.high.settings as {}
}

test_allows_reading_without_pop if after(fixtures.bearer) == fixtures.allowed

test_denies_writing_without_pop if {
	change := object.union(fixtures.bearer, {"request": {"method": "POST"}})
	after(change) == fixtures.denied(["pop_required"])
}

test_denies_writing_with_uncovered_body if {
	change := {"request": {"method": "POST", "body": {"state": "complete"}}, "proof": {"pop": {"body_covered": false}}}
	after(change) == fixtures.denied(["pop_required"])
}

test_allows_writing_without_body_uncovered if {
	after({"request": {"method": "POST"}, "proof": {"pop": {"body_covered": false}}}) == fixtures.allowed
}

test_allows_writing_with_covered_body if {
	after({"request": {"method": "POST", "body": {"state": "complete"}}}) == fixtures.allowed
}

test_denies_stale_taint if after({"proof": {"taint_epoch": 2}}) == fixtures.denied(["taint_stale"])

test_allows_state_of_5_s if after({"freshness": {"age_ms": 5000}}) == fixtures.allowed

test_denies_state_older_than_5_s if {
	after({"freshness": {"age_ms": 5001}}) == fixtures.denied(["freshness_stale"])
}

test_allows_binding_of_an_hour if after(fixtures.binding_of_age_s(3599)) == fixtures.allowed

test_denies_binding_older_than_an_hour if {
	after(fixtures.binding_of_age_s(3600)) == fixtures.denied(["ttl_too_long"])
}

test_denies_without_binding if after(fixtures.no_runtime_link) == fixtures.denied(["ttl_too_long"])

test_allows_without_run if {
	decision(json.remove(fixtures.proven("high"), ["proof/run_id"])) == fixtures.allowed
}

test_denies_token_by_default if denied(fixtures.with_token("high"), ["legacy_disabled"])

listed := object.union(settings, {"legacy_routes": ["documents.read"]})

test_allows_reading_token_where_listed if {
	high.decision == fixtures.allowed with input as fixtures.with_token("high") with data.lemma.high.settings as listed
}

test_denies_writing_token_where_listed if {
	request := object.union(fixtures.with_token("high"), {"request": {"method": "POST"}})
	high.decision == fixtures.denied(["legacy_disabled"]) with input as request with data.lemma.high.settings as listed
}

test_denies_token_of_an_old_binding_where_listed if {
	request := object.union(fixtures.with_token("high"), fixtures.binding_of_age_s(3600))
	high.decision == fixtures.denied(["ttl_too_long"]) with input as request with data.lemma.high.settings as listed
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
	denied(json.remove(fixtures.proven("high"), ["freshness"]), ["freshness_stale"])
}

test_denies_without_fact_of_budget if {
	denied(json.remove(fixtures.proven("high"), ["budget"]), ["budget_exhausted"])
}
